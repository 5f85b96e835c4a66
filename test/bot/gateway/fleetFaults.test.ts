// The fleet under seeded faults: whatever the network and Discord do, no rule is broken and no event of a session is lost.

import { describe, expect, it } from "vitest";
import { seeded, type VirtualFleet, virtualFleet } from "./virtualFleet.ts";

const FAULT_MS = 15 * 60_000;
const SESSION_MS = 90_000;
const CODES = [1000, 1001, 4000, 4001, 4002, 4003, 4005, 4007, 4008, 4009, 4242, undefined];

type Fault = (subject: VirtualFleet, random: () => number) => void;

const hosts = ["wss://gateway.test", "wss://resume-0.test", "wss://resume-1.test", "wss://resume-2.test"];
const pick = <Item>(items: readonly Item[], random: () => number): Item | undefined =>
  items[Math.floor(random() * items.length)];
const somePeers = (subject: VirtualFleet, random: () => number) =>
  [...subject.gateway.peers].filter(() => random() < 0.5);

const FAULTS: readonly Fault[] = [
  (subject, random) => {
    for (const peer of somePeers(subject, random)) peer.end(pick(CODES, random));
  },
  ({ gateway }) => {
    for (const peer of [...gateway.peers]) peer.end(undefined);
  },
  (subject, random) => {
    for (const peer of somePeers(subject, random)) peer.send({ op: 7, d: null });
  },
  (subject, random) => {
    for (const peer of somePeers(subject, random)) {
      if (peer.session !== undefined && random() < 0.5) peer.session.alive = false;
      peer.send({ op: 9, d: peer.session?.alive ?? false });
    }
  },
  (subject, random) => {
    for (const peer of somePeers(subject, random)) peer.deaf = true;
  },
  (subject, random) => {
    for (const peer of somePeers(subject, random)) peer.acknowledges = false;
  },
  (subject, random) => {
    for (const peer of somePeers(subject, random)) peer.send({ op: 1, d: null });
  },
  (subject, random) => {
    const host = pick(hosts, random) ?? "";
    const mood = pick(["refuses", "blackHole", "silent", "banned"] as const, random) ?? "refuses";
    subject.gateway.moods.set(host, mood);
    subject.clock.schedule(random() * 60_000, () => subject.gateway.moods.delete(host));
  },
  (subject, random) => {
    subject.gateway.fallback = random() < 0.2 ? "banned" : "refuses";
    subject.clock.schedule(random() * 120_000, () => {
      subject.gateway.fallback = "up";
    });
  },
  (subject, random) => {
    subject.gateway.answersIdentify = false;
    subject.clock.schedule(random() * 20_000, () => {
      subject.gateway.answersIdentify = true;
    });
  },
  (subject, random) => {
    for (const shard of subject.fleet.status().shards) {
      for (let sends = 0; sends < 8; sends++) {
        subject.fleet.setPresence({ status: pick(["online", "idle", "dnd"], random) ?? "online" }, shard);
      }
    }
  },
  (subject, random) => {
    subject.fleet.setRestBan(subject.clock.wall() + random() * 60_000);
  },
];

/** Each session's events arrive in order, none twice, none missing from the first to the last. */
function sequenceFaults(subject: VirtualFleet, events: ReadonlyMap<number, number[][]>): string[] {
  const faults: string[] = [];
  for (const [shard, sessions] of events) {
    for (const sequences of sessions) {
      sequences.forEach((sequence, index) => {
        if (sequence !== index + 1) faults.push(`shard ${shard}: event ${sequence} at place ${index + 1}`);
      });
    }
  }
  return [...faults, ...subject.gateway.violations];
}

async function survive(seed: number): Promise<void> {
  const chance = seeded(seed * 7919);
  const shards = 1 + Math.floor(chance() * 8);
  const events = new Map<number, number[][]>();
  const subject = virtualFleet(seed, shards, {
    onDispatch(shard, sequence) {
      events.get(shard)?.at(-1)?.push(sequence);
    },
    onSession(shard, what) {
      if (what === "started") events.set(shard, [...(events.get(shard) ?? []), []]);
    },
  });
  const { gateway, clock, fleet } = subject;
  gateway.maxConcurrency = pick([1, 2, 16], chance) ?? 1;
  gateway.remaining = 1_000_000;
  gateway.heartbeatIntervalMs = 41_250;
  gateway.sessionTtlMs = SESSION_MS;
  fleet.start();
  while (clock.now() < FAULT_MS) {
    await clock.advance(chance() * 30_000);
    gateway.publish("MESSAGE_CREATE");
    if (chance() < 0.7) pick(FAULTS, chance)?.(subject, chance);
  }
  fleet.setRestBan(undefined);
  gateway.moods.clear();
  gateway.fallback = "up";
  gateway.answersIdentify = true;
  // Dead peers are noticed within two intervals; an unanswered IDENTIFY, a probe of a ban and the key's turns follow.
  const bound = 2 * gateway.heartbeatIntervalMs + 130_000 + 60_000 + (shards / gateway.maxConcurrency) * 7_000;
  const settled = await subject.runUntil(
    () => subject.ready() === shards && [...gateway.peers].every((peer) => !peer.deaf && peer.acknowledges),
    bound,
    500,
  );
  const context = `seed ${seed}, ${JSON.stringify(fleet.status().shards, null, 1)}`;
  expect(settled, context).toBeDefined();
  gateway.publish("LAST");
  await clock.advance(1_000);
  expect(sequenceFaults(subject, events), context).toEqual([]);
  const live = [...gateway.peers].map(({ session }) => session);
  for (const session of live) {
    expect(
      events
        .get(session?.shard ?? -1)
        ?.at(-1)
        ?.at(-1),
      context,
    ).toBe(session?.sequence);
  }
  expect(gateway.closes.filter(({ code }) => code < 3000)).toEqual([]);
  expect(clock.pending(), context).toBeLessThan(6 * shards + 10);
  const stopped = fleet.stop({ keepSessions: true });
  await clock.advance(1_000);
  await stopped;
}

describe("seeded faults", () => {
  it.each(Array.from({ length: 40 }, (_, index) => index + 1))("seed %i", survive);
});
