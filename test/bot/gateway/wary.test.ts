// Replayed events of which one may kill the process: what is written before each starts, and who waits for it.

import { describe, expect, it } from "vitest";
import { createDispatcher, type Dispatcher } from "../../../bot/gateway/dispatch.ts";
import { MOST_WARY, TURN_MS } from "../../../bot/gateway/wary.ts";
import type { StoredSession } from "../../../bot/ledger/ledger.ts";
import { type VirtualClock, virtualClock } from "../../virtualClock.ts";
import { recordingTelemetry } from "../telemetry/recordingTelemetry.ts";
import { storedSession } from "./dispatcherBench.ts";

const WRITE_MS = 5;

const SESSION = storedSession({});

interface Bench {
  readonly clock: VirtualClock;
  readonly dispatcher: Dispatcher;
  /** Starts and writes in order; a write names what it keeps as unfinished, with the deaths. */
  readonly seen: string[];
  message(sequence: number, channel?: string): void;
}

/** Events of channel "slow" take 1 s, those of "very slow" forever, all others end at once. */
function bench(write: "ok" | "fails" | "hangs" | "absent" = "ok", mayStart = () => true): Bench {
  const clock = virtualClock();
  const seen: string[] = [];
  const dispatcher: Dispatcher = createDispatcher({
    clock,
    telemetry: recordingTelemetry(),
    waitDeadlineMs: 300_000,
    runDeadlineMs: 900_000,
    mayStart,
    ...(write !== "absent" && {
      async writeAhead() {
        const unfinished = dispatcher.position(0)?.unfinished ?? [];
        if (write === "hangs") return new Promise<never>(() => {});
        await clock.sleep(WRITE_MS);
        seen.push(["kept", ...unfinished.map(({ sequence, deaths }) => `${sequence}:${deaths}`)].join(" "));
        return write === "ok";
      },
    }),
    handler: (type) =>
      type === "MESSAGE_CREATE"
        ? (data, context) => {
            seen.push(`start ${context.sequence}`);
            const channel = JSON.stringify(data);
            if (channel.includes("very slow")) return new Promise<never>(() => {});
            return channel.includes("slow") ? clock.sleep(1_000) : undefined;
          }
        : undefined,
  });
  const message = (sequence: number, channel = `${sequence}`): void =>
    dispatcher.dispatch(0, sequence, "MESSAGE_CREATE", { channel_id: channel });
  return { clock, dispatcher, seen, message };
}

describe("after a death", () => {
  it("writes each replayed event down before it starts, and takes the next when that has ended", async () => {
    const { clock, dispatcher, seen, message } = bench();
    dispatcher.restore(SESSION, undefined, true);
    message(1);
    message(2);
    expect(seen).toEqual([]);
    await clock.advance(100);
    expect(seen).toEqual(["kept 1:1", "start 1", "kept 2:1", "start 2", "kept"]);
    expect(dispatcher.position(0)).toEqual({ received: 2, finished: 2, finishedAbove: [], unfinished: [] });
  });

  it("gives an event that goes on a moment alone; then the next has its turn, and a death counts for both", async () => {
    const { clock, dispatcher, seen, message } = bench();
    dispatcher.restore(SESSION, undefined, true);
    message(1, "slow 1");
    message(2, "slow 2");
    await clock.advance(WRITE_MS + TURN_MS - 1);
    expect(seen).toEqual(["kept 1:1", "start 1"]);
    await clock.advance(1 + WRITE_MS + TURN_MS + WRITE_MS);
    expect(seen.slice(2)).toEqual(["kept 1:1 2:1", "start 2", "kept 1:1 2:1"]);
    await clock.advance(1_000);
    expect(dispatcher.position(0)?.finished).toBe(2);
  });

  it("is through with 200 replayed events in seconds, keeping each channel's order", async () => {
    const { clock, dispatcher, seen, message } = bench();
    dispatcher.restore(SESSION, undefined, true);
    for (let sequence = 1; sequence <= 200; sequence++) message(sequence, `slow ${sequence}`);
    message(201, "slow 1");
    await clock.advance(200 * (WRITE_MS + TURN_MS) + 2_000);
    const starts = seen.filter((entry) => entry.startsWith("start")).map((entry) => Number(entry.slice(6)));
    expect(starts.toSorted((one, other) => one - other)).toEqual(Array.from({ length: 201 }, (_, index) => index + 1));
    expect(starts.indexOf(201)).toBeGreaterThan(starts.indexOf(1));
    expect(dispatcher.position(0)?.finished).toBe(201);
  });

  it("lets what comes after the replay pass by, but not past its own channel's events", async () => {
    const { clock, dispatcher, seen, message } = bench();
    dispatcher.restore(SESSION, undefined, true);
    for (let sequence = 1; sequence <= 60; sequence++) message(sequence, `slow ${sequence}`);
    dispatcher.onSession(0, "resumed", 60);
    await clock.advance(1_501);
    expect(seen).not.toContain("start 60");
    message(61, "slow 60");
    message(62);
    expect(seen.at(-1)).toBe("start 62");
    await clock.advance(3_000);
    const starts = seen.filter((entry) => entry.startsWith("start"));
    expect(starts).toHaveLength(62);
    expect(starts.at(-1)).toBe("start 61");
    expect(dispatcher.position(0)?.finished).toBe(62);
  });

  it("takes what comes right behind a RESUMED for the rest of the replay, which may bring an earlier one again", async () => {
    const { clock, dispatcher, seen, message } = bench();
    dispatcher.restore(SESSION, undefined, true);
    for (const sequence of [1, 3]) {
      dispatcher.onSession(0, "resumed", sequence);
      dispatcher.dispatch(0, sequence, "RESUMED", {});
      message(sequence + 1);
      await clock.advance(1_000);
    }
    expect(seen.filter((entry) => entry !== "kept")).toEqual(["kept 2:1", "start 2", "kept 4:1", "start 4"]);
  });

  it("goes on where a connection is cut right behind a RESUMED, and the next brings the rest; later all is live", async () => {
    const { clock, dispatcher, seen } = bench();
    dispatcher.restore(SESSION, undefined, true);
    dispatcher.onSession(0, "resumed", 1);
    dispatcher.dispatch(0, 1, "RESUMED", {});
    await clock.advance(5_000);
    dispatcher.dispatch(0, 2, "MESSAGE_CREATE", { channel_id: "a" }, true);
    await clock.advance(1_000);
    dispatcher.dispatch(0, 3, "MESSAGE_CREATE", { channel_id: "b" });
    await clock.advance(600_000);
    dispatcher.dispatch(0, 4, "MESSAGE_CREATE", { channel_id: "c" }, true);
    expect(seen.filter((entry) => entry !== "kept")).toEqual(["kept 2:1", "start 2", "start 3", "start 4"]);
  });

  it("is not wary of more than a bounded crowd", async () => {
    const { dispatcher, seen, message } = bench();
    dispatcher.restore(SESSION, undefined, true);
    // The first has its turn at once, and waits no more.
    for (let sequence = 1; sequence <= MOST_WARY + 2; sequence++) message(sequence);
    expect(seen).toEqual([`start ${MOST_WARY + 2}`]);
  });

  it.each([1, 2_000])(
    "begins what a process died on once more, not twice, when each was killed %i ms after",
    async (ms) => {
      let unfinished: StoredSession["unfinished"] = [];
      const starts: boolean[] = [];
      for (let life = 1; life <= 3; life++) {
        const { clock, dispatcher, seen, message } = bench();
        dispatcher.restore({ ...SESSION, unfinished }, undefined, true);
        message(1, "very slow");
        await clock.advance(WRITE_MS + ms);
        starts.push(seen.includes("start 1"));
        unfinished = dispatcher.position(0)?.unfinished ?? [];
      }
      expect(starts).toEqual([true, true, false]);
    },
  );

  it("is wary of what a process is known to have died on, however long ago", async () => {
    const { clock, dispatcher, seen, message } = bench();
    dispatcher.restore({ ...SESSION, unfinished: [{ sequence: 2, deaths: 1 }] });
    message(1);
    message(2);
    await clock.advance(100);
    expect(seen).toEqual(["start 1", "kept 2:2", "start 2", "kept"]);
  });
});

describe("a ledger that", () => {
  it.each([
    ["fails", "fails", WRITE_MS],
    ["hangs", "hangs", 5_000],
  ] as const)("%s holds up one event, not each", async (_what, write, waitsMs) => {
    const { clock, dispatcher, seen, message } = bench(write);
    dispatcher.restore(SESSION, undefined, true);
    for (let sequence = 1; sequence <= 5; sequence++) message(sequence);
    await clock.advance(waitsMs + 1);
    expect(seen.filter((entry) => entry !== "kept 1:1")).toEqual(
      [1, 2, 3, 4, 5].map((sequence) => `start ${sequence}`),
    );
  });

  it("ends with the process is not written to", () => {
    const { dispatcher, seen, message } = bench("absent");
    dispatcher.restore(SESSION, undefined, true);
    message(1);
    expect(seen).toEqual(["start 1"]);
  });
});

describe("a death counts for no event", () => {
  it.each<[string, number, (dispatcher: Dispatcher) => void, readonly object[]]>([
    ["of a shard given away before it began", 1, (dispatcher) => dispatcher.release(0), []],
    ["of a shard given away, unless it runs", 10, (dispatcher) => dispatcher.release(0), [{ sequence: 1, deaths: 1 }]],
    ["of a shard lost, unless it runs", 10, (dispatcher) => dispatcher.lose(0), [{ sequence: 1, deaths: 1 }]],
    ["of a process that ends before it began", 1, (dispatcher) => dispatcher.stopStarting(), []],
    [
      "of a process that ends, unless it runs",
      10,
      (dispatcher) => dispatcher.stopStarting(),
      [{ sequence: 1, deaths: 1 }],
    ],
  ])("%s", async (_what, afterMs, end, unfinished) => {
    const { clock, dispatcher, seen, message } = bench();
    dispatcher.restore(SESSION, undefined, true);
    message(1, "slow");
    await clock.advance(afterMs);
    expect(dispatcher.position(0)?.unfinished).toEqual([{ sequence: 1, deaths: 1 }]);
    end(dispatcher);
    expect(dispatcher.position(0)?.unfinished).toEqual(unfinished);
    await clock.advance(100);
    expect(seen.filter((entry) => entry.startsWith("start"))).toHaveLength(unfinished.length);
    expect(dispatcher.position(0)?.unfinished).toEqual(unfinished);
  });

  it("and a drain without a successor waits for its turn", async () => {
    const { clock, dispatcher, seen, message } = bench();
    dispatcher.restore(SESSION, undefined, true);
    message(1);
    message(2);
    let isDrained = false;
    void dispatcher.drained(new AbortController().signal).then(() => {
      isDrained = true;
    });
    await clock.advance(WRITE_MS - 1);
    expect(isDrained).toBe(false);
    await clock.advance(100);
    expect([isDrained, seen.includes("start 2")]).toEqual([true, true]);
  });

  it("and none starts while none may, though it is written down", async () => {
    let may = true;
    const { clock, dispatcher, seen, message } = bench("ok", () => may);
    dispatcher.restore(SESSION, undefined, true);
    message(1);
    may = false;
    await clock.advance(100);
    expect(seen).toEqual(["kept 1:1"]);
    may = true;
    dispatcher.goOn();
    expect(seen).toEqual(["kept 1:1", "start 1"]);
  });
});
