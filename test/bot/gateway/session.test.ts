// The shard's reducer: what each input does in each state, stale connections, and what may end a session.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ShardContext } from "../../../bot/gateway/dialling.ts";
import { initialState, reduce } from "../../../bot/gateway/session.ts";
import {
  type Effect,
  type Input,
  nextDeadline,
  type Session,
  type ShardState,
  stateName,
} from "../../../bot/gateway/sessionState.ts";

const SHARD: ShardContext = {
  shard: 0,
  shardCount: 1,
  intents: 1,
  intentNames: ["GUILDS"],
  plainAllowed: false,
  jitter: "full",
};
const SESSION: Session = { id: "s", resumeUrl: "wss://resume.test", sequence: 7, liveAt: 0 };
const half = () => 0.5;

class Subject {
  state: ShardState;
  now = 0;
  effects: Effect[] = [];

  constructor(session: Session | null) {
    this.state = initialState(session, 0);
  }

  feed(...inputs: Input[]): Effect[] {
    this.effects = [];
    for (const input of inputs) {
      const { state, effects } = reduce(this.state, input, this.now, half, SHARD);
      this.state = state;
      this.effects.push(...effects);
    }
    return this.effects;
  }

  get kinds(): string[] {
    return this.effects.map(({ kind }) => kind);
  }
}

const payload = (generation: number, op: number, d: unknown = null, s: number | null = null, t: string | null = null) =>
  ({ kind: "payload", generation, payload: { op, d, s, t } }) as const;
const hello = (generation: number) => payload(generation, 10, { heartbeat_interval: 40_000 });
const readyPayload = (generation: number) =>
  payload(generation, 0, { session_id: "new", resume_gateway_url: "wss://resume.test" }, 1, "READY");

function identifying(): Subject {
  const subject = new Subject(null);
  subject.feed(
    { kind: "start" },
    { kind: "identifyTurn" },
    { kind: "dialTurn" },
    { kind: "opened", generation: 1 },
    hello(1),
  );
  return subject;
}

function ready(): Subject {
  const subject = identifying();
  subject.feed({ kind: "identifyNow" }, readyPayload(1));
  return subject;
}

function resuming(session = SESSION): Subject {
  const subject = new Subject(session);
  subject.feed({ kind: "start" }, { kind: "dialTurn" }, { kind: "opened", generation: 1 }, hello(1));
  return subject;
}

describe("the way to ready", () => {
  it("without a session goes through the identify queue, and identifies only in its moment", () => {
    const subject = new Subject(null);
    const names = [stateName(subject.state)];
    const effects: string[][] = [];
    const inputs: Input[] = [
      { kind: "start" },
      { kind: "identifyTurn" },
      { kind: "dialTurn" },
      { kind: "opened", generation: 1 },
      hello(1),
      { kind: "identifyNow" },
      readyPayload(1),
    ];
    for (const input of inputs) {
      subject.feed(input);
      names.push(stateName(subject.state));
      effects.push(subject.kinds);
    }
    expect(names).toEqual([
      "stopped",
      "waitingToIdentify",
      "waiting",
      "connecting",
      "awaitingHello",
      "waitingToIdentify",
      "identifying",
      "ready",
    ]);
    expect(effects).toEqual([
      ["askIdentifyTurn"],
      ["askDial"],
      ["dial"],
      [],
      ["reachable", "identifyReady"],
      ["identify"],
      ["identifyAnswered", "session", "dispatch"],
    ]);
  });

  it("with a session resumes without any turn", () => {
    const subject = new Subject(SESSION);
    expect(subject.feed({ kind: "start" })).toEqual([{ kind: "askDial", notBefore: 0, patient: false }]);
    expect(subject.feed({ kind: "dialTurn" })).toEqual([
      { kind: "dial", generation: 1, host: "resume", session: SESSION },
    ]);
    subject.feed({ kind: "opened", generation: 1 }, hello(1));
    expect(subject.effects.at(-1)).toEqual({ kind: "resume", session: SESSION });
    subject.feed(payload(1, 0, {}, 8, "MESSAGE_CREATE"), payload(1, 0, {}, 9, "RESUMED"));
    expect(subject.effects).toEqual([
      { kind: "dispatch", sequence: 8, type: "MESSAGE_CREATE", data: {}, replayed: true },
      { kind: "session", what: "resumed", sequence: 8, replayed: 1 },
      { kind: "dispatch", sequence: 9, type: "RESUMED", data: {}, replayed: false },
    ]);
    expect(subject.state).toMatchObject({ kind: "ready", session: { sequence: 9 } });
  });
});

describe("callbacks of an older connection", () => {
  const stale: Input[] = [
    { kind: "opened", generation: 0 },
    { kind: "closed", generation: 0, code: 4004 },
    { kind: "broken", generation: 0, reason: "" },
    payload(0, 9, false),
    payload(0, 7),
    payload(0, 0, {}, 99, "MESSAGE_CREATE"),
    payload(0, 11),
  ];
  it.each(stale.map((input) => [input.kind, input] as const))("change nothing: %s", (_kind, input) => {
    for (const subject of [ready(), identifying(), resuming()]) {
      const before = subject.state;
      expect(subject.feed(input)).toEqual([]);
      expect(subject.state).toBe(before);
    }
  });
});

describe("a session", () => {
  it.each<[string, Input, boolean]>([
    ["op 9 false", payload(1, 9, false), true],
    ["op 9 true", payload(1, 9, true), false],
    ["op 7", payload(1, 7), false],
    ["close 4003", { kind: "closed", generation: 1, code: 4003 }, true],
    ["close 4007", { kind: "closed", generation: 1, code: 4007 }, true],
    ["close 4009", { kind: "closed", generation: 1, code: 4009 }, true],
    ["close 1000 by Discord", { kind: "closed", generation: 1, code: 1000 }, false],
    ["a cut connection", { kind: "closed", generation: 1, code: undefined }, false],
    ["a broken stream", { kind: "broken", generation: 1, reason: "" }, false],
    ["our own end", { kind: "stop", keepSession: false }, true],
    ["our own pause", { kind: "stop", keepSession: true }, false],
  ])("%s: dropped is %3$s", (_what, input, dropped) => {
    for (const subject of [ready(), resuming()]) {
      subject.feed(input);
      expect(subject.state.session === null).toBe(dropped);
      const effects = subject.effects.filter((effect) => effect.kind === "session");
      expect(effects.map(({ what }) => what)).toEqual(dropped ? ["dropped"] : []);
    }
  });

  it("survives any number of failed dials, which change the host only", () => {
    const subject = new Subject(SESSION);
    const hosts: string[] = [];
    subject.feed({ kind: "start" });
    for (let generation = 1; generation <= 7; generation++) {
      for (const effect of subject.feed({ kind: "dialTurn" })) if (effect.kind === "dial") hosts.push(effect.host);
      subject.feed({ kind: "closed", generation, code: undefined });
      expect(subject.kinds).toEqual(["unreachable", "askDial"]);
      subject.now += 60_000;
    }
    expect(hosts).toEqual(["resume", "resume", "generic", "resume", "generic", "resume", "generic"]);
    expect(subject.state.session).toEqual(SESSION);
  });

  it("whose replay is cut, however often, goes on where it was replayed", () => {
    const subject = new Subject(SESSION);
    const hosts: string[] = [];
    subject.feed({ kind: "start" });
    for (let generation = 1; generation <= 4; generation++) {
      for (const effect of subject.feed({ kind: "dialTurn" })) if (effect.kind === "dial") hosts.push(effect.host);
      subject.feed({ kind: "opened", generation }, hello(generation));
      subject.feed(payload(generation, 0, {}, SESSION.sequence + generation, "MESSAGE_CREATE"));
      subject.feed({ kind: "closed", generation, code: undefined });
      subject.now += 10_000;
    }
    expect(hosts).toEqual(["resume", "resume", "resume", "resume"]);
  });

  it("that an outage has outlived is followed by an IDENTIFY within 1 to 5 s, however many dials failed", () => {
    const subject = new Subject(SESSION);
    subject.feed({ kind: "start" });
    for (let generation = 1; generation <= 8; generation++) {
      subject.feed({ kind: "dialTurn" }, { kind: "closed", generation, code: undefined });
      subject.now += 8_000;
    }
    subject.feed({ kind: "dialTurn" }, { kind: "opened", generation: 9 }, hello(9), payload(9, 9, false));
    expect(subject.state).toMatchObject({ kind: "waiting", for: "pause", session: null, until: subject.now + 3_000 });
  });

  it("that is 180 s old has one RESUME left", () => {
    const subject = new Subject(SESSION);
    subject.now = 180_000;
    subject.feed({ kind: "start" }, { kind: "dialTurn" }, { kind: "opened", generation: 1 }, hello(1));
    expect(subject.state.kind).toBe("resuming");
    subject.feed({ kind: "closed", generation: 1, code: undefined });
    expect(subject.state.session).toBeNull();
    expect(stateName(subject.state)).toBe("waiting");
  });

  it("never names a plain resume host unless that is allowed", () => {
    const subject = identifying();
    const plain = { session_id: "new", resume_gateway_url: "ws://resume.test" };
    subject.feed({ kind: "identifyNow" }, payload(1, 0, plain, 1, "READY"));
    expect(subject.state.session).toMatchObject({ id: "new", resumeUrl: null });
  });
});

describe("dispatches", () => {
  it("that were received before are dropped, and no null moves the sequence back", () => {
    const subject = ready();
    subject.feed(payload(1, 0, {}, 2, "A"), payload(1, 0, {}, 2, "A"), payload(1, 0, {}, 1, "B"), payload(1, 11));
    expect(subject.kinds).toEqual(["dispatch"]);
    expect(subject.state.session?.sequence).toBe(2);
  });
});

describe("deadlines", () => {
  it("exist in every state but stopped, and passing them leads on", () => {
    const subject = new Subject(null);
    const inputs: Input[] = [
      { kind: "start" },
      { kind: "identifyTurn" },
      { kind: "dialTurn" },
      { kind: "opened", generation: 1 },
      hello(1),
      { kind: "identifyNow" },
      readyPayload(1),
    ];
    for (const input of inputs) {
      subject.feed(input);
      const { state } = subject;
      const deadline = nextDeadline(state);
      expect(deadline, stateName(state)).not.toBeNull();
      const later = reduce(state, { kind: "timer", behind: false }, deadline ?? 0, half, SHARD);
      expect(later.state, stateName(state)).not.toBe(state);
    }
  });

  it.each([
    ["READY", identifying, 120_000],
    ["the replay", resuming, 60_000],
  ])("bound the wait for %s", (_what, make, mostMs) => {
    const subject = make();
    if (subject.state.kind === "identifying") subject.feed({ kind: "identifyNow" });
    for (let at = 0; subject.state.kind !== "waiting" && at < 200_000; at += 100) {
      subject.now = at;
      subject.feed({ kind: "timer", behind: false }, payload(1, 11));
    }
    expect(subject.now).toBe(mostMs);
    expect(subject.effects).toContainEqual({ kind: "close", generation: 1, code: 4000, reason: expect.any(String) });
  });
});

describe("the first beat", () => {
  it.each([
    { what: "comes after a share of the interval", stoodStillMs: 0, beats: [20_000] },
    {
      what: "comes at once when HELLO lay unread while the process stood still",
      stoodStillMs: 55_000,
      beats: [55_000],
    },
  ])("$what", ({ stoodStillMs, beats }) => {
    const subject = new Subject(SESSION);
    subject.feed({ kind: "start" }, { kind: "dialTurn" });
    subject.now = stoodStillMs;
    subject.feed({ kind: "opened", generation: 1 }, hello(1));
    const at: number[] = [];
    for (; at.length === 0 && subject.now < 80_000; subject.now += 1_000) {
      subject.feed({ kind: "timer", behind: false });
      if (subject.kinds.includes("heartbeat")) at.push(subject.now);
    }
    expect(at).toEqual(beats);
  });
});

describe("any inputs whatever", () => {
  const generations = fc.integer({ min: 0, max: 4 });
  const inputs: fc.Arbitrary<Input> = fc.oneof(
    fc.constantFrom<Input>(
      { kind: "start" },
      { kind: "timer", behind: false },
      { kind: "identifyTurn" },
      { kind: "identifyNow" },
      { kind: "dialTurn" },
      { kind: "suspended" },
      { kind: "budget", until: 5_000 },
    ),
    generations.map((generation): Input => ({ kind: "opened", generation })),
    generations.map(hello),
    generations.map(readyPayload),
    fc.record({
      kind: fc.constant("closed" as const),
      generation: generations,
      code: fc.constantFrom(undefined, 1000, 4000, 4008, 4009),
    }),
    fc.tuple(generations, fc.integer({ min: 1, max: 30 })).map(([generation, s]) => payload(generation, 0, {}, s, "A")),
    fc.tuple(generations, fc.constantFrom(1, 7, 11)).map(([generation, op]) => payload(generation, op)),
    fc.tuple(generations, fc.boolean()).map(([generation, d]) => payload(generation, 9, d)),
  );

  it("never reuse a generation, hand events on out of order, identify with a session, or close with 1000", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(inputs, fc.integer({ min: 0, max: 30_000 })), { maxLength: 80 }), (steps) => {
        const subject = new Subject(null);
        let sequence = 0;
        let generation = 0;
        for (const [input, passed] of steps) {
          subject.now += passed;
          for (const effect of subject.feed(input)) {
            if (effect.kind === "dial") expect(effect.generation).toBe(++generation);
            if (effect.kind === "session" && effect.what === "started") sequence = 0;
            if (effect.kind === "dispatch") {
              expect(effect.sequence).toBeGreaterThan(sequence);
              sequence = effect.sequence;
            }
            if (effect.kind === "identify") expect(subject.state.session).toBeNull();
            if (effect.kind === "close") expect(effect.code).toBe(4000);
          }
          const deadline = nextDeadline(subject.state);
          expect(deadline === null).toBe(subject.state.kind === "stopped");
        }
      }),
    );
  });
});

describe("the wait before a dial", () => {
  it.each([
    { jitter: "full", random: 0, leastMs: 0, mostMs: 0 },
    { jitter: "full", random: 0.999, leastMs: 7_900, mostMs: 8_000 },
    { jitter: "decorrelated", random: 0, leastMs: 500, mostMs: 500 },
    { jitter: "decorrelated", random: 0.999, leastMs: 7_900, mostMs: 8_000 },
  ] as const)("is spread by $jitter jitter, at $random from $leastMs to $mostMs ms", ({ jitter, random, ...row }) => {
    let state = initialState(SESSION, 0);
    const feed = (input: Input): readonly Effect[] => {
      const step = reduce(state, input, 0, () => random, { ...SHARD, jitter });
      state = step.state;
      return step.effects;
    };
    feed({ kind: "start" });
    let waitedMs = 0;
    for (let tries = 0; tries < 20; tries++) {
      feed({ kind: "dialTurn" });
      const asked = feed({ kind: "closed", generation: state.generation, code: undefined });
      const dial = asked.find((effect) => effect.kind === "askDial");
      waitedMs = dial?.notBefore ?? -1;
    }
    expect(waitedMs).toBeGreaterThanOrEqual(row.leastMs);
    expect(waitedMs).toBeLessThanOrEqual(row.mostMs);
  });
});

describe("an unanswered IDENTIFY", () => {
  const sent = (): Subject => {
    const subject = identifying();
    subject.feed({ kind: "identifyNow" });
    return subject;
  };

  it.each<[string, Input, boolean]>([
    ["op 9 false", payload(1, 9, false), true],
    ["a close of Discord's", { kind: "closed", generation: 1, code: 4000 }, true],
    ["a reset", { kind: "closed", generation: 1, code: undefined }, true],
    ["op 7, on which we leave while it may be on its way", payload(1, 7), false],
    ["bytes that are broken", { kind: "broken", generation: 1, reason: "test" }, false],
  ])("counts as answered or not: %s", (_what, input, isAnswered) => {
    expect(
      sent()
        .feed(input)
        .some(({ kind }) => kind === "identifyAnswered"),
    ).toBe(isAnswered);
  });
});
