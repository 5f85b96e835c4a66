// The rules as pure cores, to the millisecond, beside a plain reading of Discord's sentences.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ALL_INTENTS, PRIVILEGED_INTENTS, shardOf, snowflakeTime, wantsEvent } from "./protocol.ts";
import { type Bucket, FixedBucket, LeakyBucket } from "./rules/bucket.ts";
import { Edge } from "./rules/edge.ts";
import { Heartbeat } from "./rules/heartbeat.ts";
import { IdentifyGate } from "./rules/identifyGate.ts";
import { Session } from "./rules/session.ts";
import { SlidingWindow } from "./rules/slidingWindow.ts";
import { Waits } from "./rules/waits.ts";

/** Times in whole ms, rising, as a client might ask. */
const times = fc.array(fc.nat(2_000), { minLength: 1, maxLength: 200 }).map((gaps) => {
  let now = 0;
  return gaps.map((gap) => {
    now += gap;
    return now;
  });
});

describe("Discord's numbers", () => {
  const bits = (mask: number): number[] =>
    Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => (mask >>> bit) & 1);

  it("intents are 0 to 16, 20, 21, 24 and 25; 1, 8 and 15 are privileged", () => {
    expect(bits(ALL_INTENTS)).toEqual([...Array(17).keys(), 20, 21, 24, 25]);
    expect(bits(PRIVILEGED_INTENTS)).toEqual([1, 8, 15]);
  });

  it.each([
    { type: "GUILD_ROLE_CREATE", inGuild: true, bit: 0 },
    { type: "GUILD_MEMBER_ADD", inGuild: true, bit: 1 },
    { type: "GUILD_BAN_ADD", inGuild: true, bit: 2 },
    { type: "GUILD_EMOJIS_UPDATE", inGuild: true, bit: 3 },
    { type: "INTEGRATION_CREATE", inGuild: true, bit: 4 },
    { type: "WEBHOOKS_UPDATE", inGuild: true, bit: 5 },
    { type: "INVITE_CREATE", inGuild: true, bit: 6 },
    { type: "VOICE_STATE_UPDATE", inGuild: true, bit: 7 },
    { type: "PRESENCE_UPDATE", inGuild: true, bit: 8 },
    { type: "MESSAGE_CREATE", inGuild: true, bit: 9 },
    { type: "MESSAGE_REACTION_ADD", inGuild: true, bit: 10 },
    { type: "TYPING_START", inGuild: true, bit: 11 },
    { type: "MESSAGE_CREATE", inGuild: false, bit: 12 },
    { type: "MESSAGE_REACTION_ADD", inGuild: false, bit: 13 },
    { type: "TYPING_START", inGuild: false, bit: 14 },
    { type: "GUILD_SCHEDULED_EVENT_CREATE", inGuild: true, bit: 16 },
    { type: "AUTO_MODERATION_RULE_CREATE", inGuild: true, bit: 20 },
    { type: "AUTO_MODERATION_ACTION_EXECUTION", inGuild: true, bit: 21 },
    { type: "MESSAGE_POLL_VOTE_ADD", inGuild: true, bit: 24 },
    { type: "MESSAGE_POLL_VOTE_ADD", inGuild: false, bit: 25 },
  ])("$type, in a server: $inGuild, needs bit $bit alone", ({ type, inGuild, bit }) => {
    const enough = bits(ALL_INTENTS).filter((one) => wantsEvent(1 << one, type, inGuild));
    expect(enough).toEqual([bit]);
  });

  it("a snowflake tells its time, and its server's shard, past 2^53", () => {
    // The example of reference#snowflakes.
    expect(snowflakeTime("175928847299117063")).toBe(1_462_015_105_796);
    expect(shardOf("175928847299117063", 16)).toBe(Number((175928847299117063n / 4_194_304n) % 16n));
  });
});

describe("a sliding window", () => {
  it("never lets more than its limit into any span of its length, and refuses nobody below it", () => {
    fc.assert(
      fc.property(times, fc.integer({ min: 1, max: 10 }), (at, limit) => {
        const window = new SlidingWindow(limit, 5_000);
        const taken: number[] = [];
        for (const now of at) {
          const within = taken.filter((time) => now - time < 5_000).length;
          expect(window.take(now)).toBe(within < limit);
          if (within < limit) taken.push(now);
        }
      }),
    );
  });
});

describe("buckets", () => {
  const kinds: [string, (limit: number, windowMs: number) => Bucket][] = [
    ["leaky", (limit, windowMs) => new LeakyBucket(limit, windowMs)],
    ["fixed", (limit, windowMs) => new FixedBucket(limit, windowMs)],
  ];

  it.each(kinds)("%s: Retry-After is exact, and Reset-After at Remaining 0 is always enough", (_, make) => {
    fc.assert(
      fc.property(
        times,
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 100, max: 9_000 }),
        (at, limit, windowMs) => {
          const bucket = make(limit, windowMs);
          let notBefore = 0;
          for (const now of at) {
            const verdict = bucket.take(now);
            expect(verdict.reading.remaining).toBeGreaterThanOrEqual(0);
            if (now >= notBefore && notBefore > 0) expect(verdict.kind).toBe("pass");
            notBefore = verdict.reading.remaining === 0 ? now + verdict.reading.resetAfterMs : 0;
            if (verdict.kind === "pass") continue;
            const again = verdict.retryAfterMs;
            expect(bucket.take(now + again - 0.01).kind).toBe("limited");
            expect(bucket.take(now + again).kind).toBe("pass");
            return;
          }
        },
      ),
    );
  });

  it("leaky: over any span no more than its limit and what has leaked since", () => {
    fc.assert(
      fc.property(times, fc.integer({ min: 1, max: 10 }), (at, limit) => {
        const bucket = new LeakyBucket(limit, 5_000);
        const passed = at.filter((now) => bucket.take(now).kind === "pass");
        for (const [first, from] of passed.entries()) {
          for (const [last, to] of passed.entries()) {
            if (last >= first)
              expect(last - first + 1).toBeLessThanOrEqual(limit + ((to - from) * limit) / 5_000 + 1e-6);
          }
        }
      }),
    );
  });

  it("leaky: Reset-After moves on with each request, and tells a slot's time at Remaining = Limit - 1", () => {
    const bucket = new LeakyBucket(5, 5_000);
    const readings = [0, 0, 500].map((now) => bucket.take(now).reading);
    expect(readings).toEqual([
      { limit: 5, remaining: 4, resetAfterMs: 1_000 },
      { limit: 5, remaining: 3, resetAfterMs: 2_000 },
      { limit: 5, remaining: 2, resetAfterMs: 2_500 },
    ]);
  });
});

describe("the IDENTIFY gate", () => {
  it("lets one of a key through in 5 s and counts every attempt", () => {
    fc.assert(
      fc.property(
        times,
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.nat(15), { minLength: 200, maxLength: 200 }),
        (at, keys, ids) => {
          const gate = new IdentifyGate(0, keys, 1_000, 150, 86_400_000);
          const last = new Map<number, number>();
          for (const [index, now] of at.entries()) {
            const id = ids[index] ?? 0;
            const verdict = gate.identify(now, id).kind;
            if (index >= 150) expect(verdict).toBe("exhausted");
            else expect(verdict).toBe(now - (last.get(id % keys) ?? -5_000) >= 5_000 ? "accepted" : "window");
            if (verdict === "accepted") last.set(id % keys, now);
            expect(gate.limits(now).remaining).toBe(Math.max(0, 150 - index - 1));
          }
        },
      ),
    );
  });

  it("is whole again after reset_after, and a day later once more", () => {
    const gate = new IdentifyGate(0, 1, 1_000, 1, 60_000);
    expect(gate.identify(0, 0).kind).toBe("accepted");
    expect(gate.identify(59_999, 0).kind).toBe("exhausted");
    expect(gate.limits(59_999)).toEqual({ total: 1_000, remaining: 0, reset_after: 1, max_concurrency: 1 });
    expect(gate.identify(60_000, 0).kind).toBe("accepted");
    expect(gate.limits(60_000)).toMatchObject({ remaining: 999, reset_after: 86_400_000 });
    expect(gate.limits(60_000 + 86_400_000)).toMatchObject({ remaining: 1_000 });
  });
});

describe("heartbeats", () => {
  it("are awaited for one and a half intervals from the last", () => {
    const heartbeat = new Heartbeat(100, 1_000);
    expect(heartbeat.deadline()).toBe(1_600);
    heartbeat.beat(900, null, 0);
    expect(heartbeat.deadline()).toBe(2_400);
  });

  it.each([
    { beats: [null, 1, 5, 5], server: 5, wrong: undefined },
    { beats: [6], server: 5, wrong: "6 is ahead of 5" },
    { beats: [4, 3], server: 5, wrong: "3 after 4" },
    { beats: [4, null], server: 5, wrong: "null after 4" },
  ])("$beats with the server at $server: $wrong", ({ beats, server, wrong }) => {
    const heartbeat = new Heartbeat(0, 1_000);
    expect(beats.map((beat) => heartbeat.beat(0, beat, server)).find((one) => one !== undefined)).toBe(wrong);
  });
});

describe("a session", () => {
  const identity = { id: "s", shard: { id: 0, count: 1 }, intents: 1, parameters: "" };

  it("replays exactly what came after, in order, as long as it is kept", () => {
    fc.assert(
      fc.property(fc.nat(60), fc.nat(80), fc.integer({ min: 1, max: 30 }), (events, from, limit) => {
        const session = new Session(identity, 0, 90_000, limit);
        for (let count = 0; count < events; count++) session.append("X", "{}");
        session.detach(10);
        const verdict = session.resume(20, from);
        const oldest = Math.max(0, events - limit);
        if (from > events) expect(verdict.kind).toBe("ahead");
        else if (from < oldest) expect(verdict).toEqual({ kind: "refused", why: "replay overflow" });
        else {
          const expected = Array.from({ length: events - from }, (_, index) => from + index + 1);
          expect(verdict.kind === "replay" && verdict.events.map(({ sequence }) => sequence)).toEqual(expected);
        }
      }),
    );
  });

  it("can be resumed by a client that answered, or had 2 s to read READY", () => {
    const quick = new Session(identity, 0, 90_000, 10);
    quick.detach(1_999);
    expect(quick.couldBeResumed(2_500)).toBe(false);
    const slow = new Session(identity, 0, 90_000, 10);
    slow.detach(2_000);
    expect([slow.couldBeResumed(91_999), slow.couldBeResumed(92_000)]).toEqual([true, false]);
    const answered = new Session(identity, 0, 90_000, 10);
    answered.answered();
    expect(answered.couldBeResumed(1)).toBe(false);
    answered.detach(1);
    expect(answered.couldBeResumed(1)).toBe(true);
  });
});

describe("announced waits", () => {
  it.each([
    { name: "on the same connection", connection: 1, at: 100, early: 900 },
    { name: "on another, perhaps under way", connection: 2, at: 100, early: 0 },
    { name: "on another, too late for that", connection: 2, at: 301, early: 699 },
    { name: "on time", connection: 1, at: 1_000, early: 0 },
  ])("$name", ({ connection, at, early }) => {
    const waits = new Waits(300);
    waits.give("key", 0, 1_000, 1);
    expect(waits.early("other", at, connection)).toBe(0);
    expect(waits.early("key", at, connection)).toBe(early);
  });

  it("are not shortened by a later answer to a request that was under way", () => {
    const waits = new Waits(0);
    waits.give("key", 0, 5_000, 1);
    waits.give("key", 10, 1_000, 2);
    expect(waits.early("key", 2_000, 3)).toBe(3_000);
  });
});

describe("the edge", () => {
  it.each([
    { name: "before the announced time", retryAfterSeconds: 300, route: "GET /gateway", at: 299_999, wrong: true },
    { name: "at the announced time", retryAfterSeconds: 300, route: "GET /gateway", at: 300_000, wrong: false },
    {
      name: "a probe a minute into a long wait",
      retryAfterSeconds: 3_600,
      route: "GET /gateway",
      at: 60_000,
      wrong: false,
    },
    { name: "a probe too soon", retryAfterSeconds: 3_600, route: "GET /gateway", at: 59_999, wrong: true },
    { name: "no probe but a message", retryAfterSeconds: 3_600, route: "POST /x", at: 60_000, wrong: true },
    { name: "unknown time, after a minute", retryAfterSeconds: undefined, route: "POST /x", at: 60_000, wrong: false },
    { name: "unknown time, sooner", retryAfterSeconds: undefined, route: "POST /x", at: 59_999, wrong: true },
    { name: "perhaps under way", retryAfterSeconds: 300, route: "POST /x", at: 200, wrong: false },
  ])("a second hit $name", ({ retryAfterSeconds, route, at, wrong }) => {
    const edge = new Edge(300);
    edge.ban({ shape: "text-1015", retryAfterSeconds });
    expect(edge.hit(0, "POST /x", 1)?.fault).toBeUndefined();
    expect(edge.hit(at, route, 2)?.fault !== undefined).toBe(wrong);
  });

  it("bans one route or all, for a time or until lifted", () => {
    const edge = new Edge(0);
    const lift = edge.ban({ shape: "html", route: "POST /x" });
    edge.ban({ shape: "text-1015", route: "POST /y", until: 1_000 });
    expect([edge.hit(0, "POST /z", 1), edge.hit(1_000, "POST /y", 1)]).toEqual([undefined, undefined]);
    expect(edge.hit(0, "POST /x", 1)?.ban.shape).toBe("html");
    lift();
    expect([edge.hit(0, "POST /x", 1), edge.banned(0)]).toEqual([undefined, false]);
  });
});
