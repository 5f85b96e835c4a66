// What of a session is finished, checked against a plain model, across process deaths and at its bound.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MOST_FINISHED_ABOVE, openPositions, type Position } from "../../../bot/gateway/positions.ts";
import type { StoredSession } from "../../../bot/ledger/ledger.ts";

const stored = (position: Partial<Position>): StoredSession => ({
  shard: 0,
  shardCount: 1,
  sessionId: "session",
  resumeGatewayUrl: "wss://gateway.example",
  sequence: position.finished ?? 0,
  finishedAbove: position.finishedAbove ?? [],
  unfinished: position.unfinished ?? [],
  intents: 1,
  tokenHash: "0123456789abcdef",
  writtenAt: 1,
});

describe("positions", () => {
  it("follow a plain model whatever order handlers settle in, over gaps in the numbering", () => {
    const step = fc.record({ settles: fc.boolean(), pick: fc.nat(), gap: fc.integer({ min: 1, max: 3 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const positions = openPositions(5);
        const all: number[] = [];
        const open: number[] = [];
        let received = 5;
        for (const { settles, pick, gap } of steps) {
          if (settles && open.length > 0) {
            const [sequence = 0] = open.splice(pick % open.length, 1);
            expect(positions.settle(sequence)).toEqual([]);
          } else {
            received += gap;
            all.push(received);
            open.push(received);
            expect(positions.receive(received)).toEqual({ kind: "run", deaths: 0 });
            positions.start(received);
          }
          const firstOpen = Math.min(...open);
          const finished = Math.max(5, ...all.filter((sequence) => sequence < firstOpen));
          expect(positions.position()).toEqual({
            received,
            finished,
            finishedAbove: all.filter((sequence) => sequence > finished && !open.includes(sequence)),
            unfinished: [...open].sort((left, right) => left - right).map((sequence) => ({ sequence, deaths: 1 })),
          });
        }
      }),
    );
  });

  it("handle each event once over any number of process deaths, or twice only when a death cut its handler off", () => {
    // Each life receives a replay from the checkpoint on, and some new events; a random part of the handlers settles.
    const life = fc.record({ fresh: fc.nat({ max: 8 }), settles: fc.array(fc.boolean(), { maxLength: 30 }) });
    fc.assert(
      fc.property(fc.array(life, { minLength: 1, maxLength: 6 }), (lives) => {
        const completed = new Map<number, number>();
        const deaths = new Map<number, number>();
        let checkpoint: Position = { received: 0, finished: 0, finishedAbove: [], unfinished: [] };
        let newest = 0;
        for (const { fresh, settles } of lives) {
          newest += fresh;
          const positions = openPositions(stored(checkpoint));
          for (let sequence = checkpoint.finished + 1; sequence <= newest; sequence++) {
            const arrival = positions.receive(sequence);
            if (arrival.kind === "repeat") {
              expect(completed.get(sequence)).toBe(1);
              continue;
            }
            expect(arrival).toEqual({
              kind: (deaths.get(sequence) ?? 0) >= 2 ? "poison" : "run",
              deaths: deaths.get(sequence) ?? 0,
            });
            if (arrival.kind === "poison") {
              completed.set(sequence, 1);
              continue;
            }
            positions.start(sequence);
            if (settles[sequence] === true) {
              positions.settle(sequence);
              completed.set(sequence, (completed.get(sequence) ?? 0) + 1);
            } else {
              deaths.set(sequence, (deaths.get(sequence) ?? 0) + 1);
            }
          }
          checkpoint = positions.position();
        }
        for (const times of completed.values()) expect(times).toBe(1);
      }),
    );
  });

  it("take whatever does not ascend for a repeat", () => {
    const positions = openPositions(0);
    positions.receive(3);
    expect([positions.receive(3), positions.receive(2), positions.receive(0)]).toEqual(
      Array.from({ length: 3 }, () => ({ kind: "repeat" })),
    );
    expect(positions.received).toBe(3);
  });

  it("keep an earlier process's lists while the replay has not reached them, and drop what it skips", () => {
    const positions = openPositions(
      stored({ finished: 10, finishedAbove: [12, 14], unfinished: [{ sequence: 13, deaths: 1 }] }),
    );
    positions.receive(11);
    expect(positions.position()).toEqual({
      received: 11,
      finished: 10,
      finishedAbove: [12, 14],
      unfinished: [{ sequence: 13, deaths: 1 }],
    });
    positions.settle(11);
    positions.receive(13);
    positions.settle(13);
    expect(positions.position()).toEqual({ received: 13, finished: 13, finishedAbove: [14], unfinished: [] });
  });

  it("forget what the replay has passed over", () => {
    const positions = openPositions(
      stored({ finished: 10, finishedAbove: [12, 30], unfinished: [{ sequence: 13, deaths: 1 }] }),
    );
    positions.receive(20);
    expect(positions.position()).toEqual({ received: 20, finished: 10, finishedAbove: [30], unfinished: [] });
    positions.receive(31);
    expect(positions.position().finishedAbove).toEqual([]);
  });

  it("remember the deaths of an event that waits again", () => {
    const positions = openPositions(stored({ unfinished: [{ sequence: 1, deaths: 1 }] }));
    expect(positions.receive(1)).toEqual({ kind: "run", deaths: 1 });
    expect(positions.position().unfinished).toEqual([{ sequence: 1, deaths: 1 }]);
    positions.start(1);
    expect(positions.position().unfinished).toEqual([{ sequence: 1, deaths: 2 }]);
  });

  it("give the oldest unfinished event up when too many are finished above it", () => {
    const positions = openPositions(0);
    positions.receive(1);
    positions.receive(2);
    let sequence = 2;
    const more = (): readonly number[] => {
      sequence++;
      positions.receive(sequence);
      return positions.settle(sequence);
    };
    for (let count = 0; count < MOST_FINISHED_ABOVE; count++) expect(more()).toEqual([]);
    expect(positions.position().finishedAbove).toHaveLength(MOST_FINISHED_ABOVE);
    // One more: event 1 goes, and 2, which then holds the same 10,001 back.
    expect(more()).toEqual([1, 2]);
    expect(positions.position()).toEqual({
      received: sequence,
      finished: sequence,
      finishedAbove: [],
      unfinished: [],
    });
    expect(positions.settle(1)).toEqual([]);
    expect(positions.position().finished).toBe(sequence);
  });
});
