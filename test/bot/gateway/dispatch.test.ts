// How events reach handlers: order, room, deadlines, sheds and the drain, under a virtual clock.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dispatcherBench, never } from "./dispatcherBench.ts";

describe("order", () => {
  it("keeps one key in order and runs others beside a handler of 30 s", async () => {
    const { clock, started, message, dispatcher } = dispatcherBench((data) =>
      JSON.stringify(data).includes('"slow"') ? clock.sleep(30_000) : clock.sleep(10),
    );
    message(1, "slow");
    message(2, "slow");
    message(3, "other");
    message(4, "other");
    expect(started).toEqual([1, 3]);
    await clock.advance(20);
    expect(started).toEqual([1, 3, 4]);
    expect(dispatcher.position(0)).toEqual({
      received: 4,
      finished: 0,
      finishedAbove: [3, 4],
      unfinished: [{ sequence: 1, deaths: 1 }],
    });
    await clock.advance(30_000);
    expect(started).toEqual([1, 3, 4, 2]);
    await clock.advance(30_000);
    expect(dispatcher.position(0)).toEqual({ received: 4, finished: 4, finishedAbove: [], unfinished: [] });
  });

  it.each([
    ["channel_id", { channel_id: "7", guild_id: "8" }, { channel_id: "7", guild_id: "9" }, false],
    ["guild_id without a channel", { guild_id: "8" }, { guild_id: "8" }, false],
    ["the shard without both", { id: "1" }, null, false],
    ["another channel", { channel_id: "7", guild_id: "8" }, { channel_id: "6", guild_id: "8" }, true],
    ["another guild", { guild_id: "8" }, { guild_id: "9" }, true],
  ])("takes for the key %s", (_name, first, second, together) => {
    const { dispatcher, started } = dispatcherBench(never);
    dispatcher.dispatch(0, 1, "MESSAGE_CREATE", first);
    dispatcher.dispatch(0, 2, "MESSAGE_CREATE", second);
    expect(started).toEqual(together ? [1, 2] : [1]);
  });

  it("holds for any load: never two of a key at once, each key in order, the oldest startable event first", async () => {
    const load = fc.array(
      fc.record({ channel: fc.integer({ min: 0, max: 5 }), takes: fc.nat({ max: 50 }), after: fc.nat({ max: 10 }) }),
      { maxLength: 80 },
    );
    await fc.assert(
      fc.asyncProperty(load, fc.integer({ min: 1, max: 4 }), async (events, maxRunning) => {
        const busy = new Set<number>();
        const finished: number[][] = [];
        let most = 0;
        const waiting: { channel: number; sequence: number }[] = [];
        const { clock, dispatcher } = dispatcherBench(
          async (_data, { sequence }) => {
            const { channel, takes } = events[sequence - 1] ?? { channel: -1, takes: 0 };
            expect(busy.has(channel)).toBe(false);
            const firstFree = waiting.find((candidate) => !busy.has(candidate.channel));
            expect(firstFree).toEqual({ channel, sequence });
            waiting.splice(
              waiting.findIndex((candidate) => candidate.sequence === sequence),
              1,
            );
            busy.add(channel);
            most = Math.max(most, busy.size);
            await clock.sleep(takes);
            busy.delete(channel);
            finished[channel] = [...(finished[channel] ?? []), sequence];
          },
          { maxRunning },
        );
        let sequence = 0;
        for (const { after, channel } of events) {
          await clock.advance(after);
          sequence++;
          waiting.push({ channel, sequence });
          dispatcher.dispatch(0, sequence, "MESSAGE_CREATE", { channel_id: `${channel}` });
        }
        await clock.advance(10_000);
        expect(most).toBeLessThanOrEqual(maxRunning);
        expect(finished.flat()).toHaveLength(events.length);
        for (const lane of finished) expect(lane ?? []).toEqual([...(lane ?? [])].sort((a, b) => a - b));
        expect(dispatcher.position(0)?.finished).toBe(events.length === 0 ? undefined : sequence);
        // One timer for what waits, one for what runs, however many came and went.
        expect(clock.pending()).toBeLessThanOrEqual(2);
      }),
      { numRuns: 40 },
    );
  });

  it("finishes events without a handler at once, also below a slow one", () => {
    const { dispatcher, message } = dispatcherBench(never);
    dispatcher.dispatch(0, 1, "TYPING_START", {});
    expect(dispatcher.position(0)).toMatchObject({ received: 1, finished: 1 });
    message(2);
    dispatcher.dispatch(0, 3, "TYPING_START", {});
    expect(dispatcher.position(0)).toMatchObject({ received: 3, finished: 1, finishedAbove: [3] });
  });
});

describe("room", () => {
  it("runs at most 256 handlers by default and starts the rest as they end", async () => {
    const { clock, started, message, telemetry } = dispatcherBench(() => clock.sleep(1_000));
    for (let sequence = 1; sequence <= 1_000; sequence++) message(sequence, `${sequence}`);
    expect(started).toHaveLength(256);
    expect(telemetry.levels).toEqual(
      new Map([
        ["HandlersRunning", 256],
        ["HandlersWaiting", 744],
      ]),
    );
    await clock.advance(4_000);
    expect(started).toEqual(Array.from({ length: 1_000 }, (_, index) => index + 1));
    expect(telemetry.levels.get("HandlersRunning")).toBe(0);
  });

  it("sheds the oldest event of the busiest key when the waiting room is full, and counts it as finished", () => {
    const { message, telemetry, dispatcher } = dispatcherBench(never, { maxRunning: 2, maxWaiting: 4 });
    message(1, "flood");
    message(2, "calm");
    message(3, "calm");
    for (const sequence of [4, 5, 6, 7]) message(sequence, "flood");
    const reason = "more than 4 events wait; this was the oldest of the busiest key";
    expect(telemetry.named("dispatch.shed")).toEqual([{ shard: 0, seq: 4, type: "MESSAGE_CREATE", reason }]);
    expect(telemetry.counts.get("HandlersShed")).toBe(1);
    expect(telemetry.levels.get("HandlersWaiting")).toBe(4);
    expect(dispatcher.position(0)?.finishedAbove).toEqual([4]);
    message(8, "third");
    expect(telemetry.named("dispatch.shed").map(({ seq }) => seq)).toEqual([4, 5]);
  });

  it("keeps the bound of 10,000 under a flood of one channel and then of many", () => {
    const { message, telemetry, started } = dispatcherBench(never);
    for (let sequence = 1; sequence <= 12_000; sequence++) message(sequence, "one");
    for (let sequence = 12_001; sequence <= 24_000; sequence++) message(sequence, `${sequence}`);
    expect(telemetry.levels.get("HandlersWaiting")).toBe(10_000);
    expect(started).toHaveLength(256);
    expect(telemetry.counts.get("HandlersShed")).toBe(24_000 - 10_000 - 256);
  });

  it("sheds what has waited too long", async () => {
    const { clock, message, telemetry, started, dispatcher } = dispatcherBench(() => clock.sleep(40_000), {
      waitDeadlineMs: 30_000,
    });
    message(1);
    message(2);
    await clock.advance(20_000);
    message(3);
    await clock.advance(9_999);
    expect(telemetry.named("dispatch.shed")).toEqual([]);
    await clock.advance(1);
    expect(telemetry.named("dispatch.shed")).toMatchObject([{ seq: 2, reason: "waited 30000 ms for its turn" }]);
    await clock.advance(10_000);
    expect(started).toEqual([1, 3]);
    await clock.advance(60_000);
    expect(dispatcher.position(0)).toMatchObject({ finished: 3, finishedAbove: [] });
  });
});

describe("a handler that fails", () => {
  it.each([
    [
      "throws",
      () => {
        throw new TypeError("broken");
      },
    ],
    ["rejects", () => Promise.reject(new TypeError("broken"))],
  ])("is reported when it %s, and the next one of its key starts", async (_how, handler: () => unknown) => {
    const { clock, message, telemetry, started, dispatcher } = dispatcherBench(handler);
    message(1);
    message(2);
    await clock.advance(0);
    expect(started).toEqual([1, 2]);
    expect(telemetry.named("handler.failed")).toMatchObject([
      { shard: 0, seq: 1 },
      { shard: 0, seq: 2 },
    ]);
    expect(String(telemetry.named("handler.failed")[0]?.["error"])).toContain("TypeError: broken");
    expect(telemetry.counts.get("HandlerErrors")).toBe(2);
    expect(dispatcher.position(0)?.finished).toBe(2);
  });

  it("loses its slot at its deadline, its signal aborts, and its late end changes nothing", async () => {
    const signals: AbortSignal[] = [];
    const ends: ((error: Error) => void)[] = [];
    const { clock, message, telemetry, started, dispatcher } = dispatcherBench(
      (_data, { signal }) => {
        signals.push(signal);
        return new Promise((_resolve, reject) => ends.push(reject));
      },
      { maxRunning: 1 },
    );
    message(1, "1");
    message(2, "2");
    await clock.advance(44_999);
    expect([started, signals[0]?.aborted]).toEqual([[1], false]);
    await clock.advance(1);
    expect([started, signals[0]?.aborted]).toEqual([[1, 2], true]);
    expect(telemetry.named("handler.failed")).toMatchObject([
      { seq: 1, error: expect.stringContaining("ran longer than 45000 ms") },
    ]);
    expect(dispatcher.position(0)).toMatchObject({ finished: 1 });
    ends[0]?.(new Error("late"));
    await clock.advance(0);
    expect(telemetry.counts.get("HandlerErrors")).toBe(1);
    expect(telemetry.levels.get("HandlersRunning")).toBe(1);
  });

  it("has a deadline of its own, whoever else runs or has ended, and one timer serves all", async () => {
    const signals: AbortSignal[] = [];
    const ends: (() => void)[] = [];
    const { clock, message } = dispatcherBench((_data, { signal }) => {
      signals.push(signal);
      return new Promise<void>((resolve) => ends.push(resolve));
    });
    for (const sequence of [1, 2, 3]) {
      message(sequence, String(sequence));
      await clock.advance(10_000);
    }
    ends[0]?.();
    await clock.advance(24_999);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false, false]);
    await clock.advance(1);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, true, false]);
    ends[2]?.();
    await clock.advance(0);
    expect(clock.pending()).toBe(1);
    await clock.advance(45_000);
    expect(clock.pending()).toBe(0);
  });
});

describe("the drain", () => {
  it("starts nothing, takes nothing in, and resolves when the running ones have settled", async () => {
    const { clock, message, dispatcher, started } = dispatcherBench(() => clock.sleep(1_000));
    message(1);
    message(2);
    dispatcher.stopStarting();
    message(3, "3");
    let drained = false;
    void dispatcher.drained(new AbortController().signal).then(() => {
      drained = true;
    });
    await clock.advance(999);
    expect(drained).toBe(false);
    await clock.advance(1);
    expect(drained).toBe(true);
    await clock.advance(100_000);
    expect(started).toEqual([1]);
    expect(dispatcher.position(0)).toEqual({ received: 2, finished: 1, finishedAbove: [], unfinished: [] });
    expect(clock.pending()).toBe(0);
  });

  it("waits for what waits as well, unless told to start nothing", async () => {
    const { clock, message, dispatcher, started } = dispatcherBench(() => clock.sleep(1_000));
    for (const sequence of [1, 2, 3]) message(sequence);
    let drained = false;
    void dispatcher.drained(new AbortController().signal).then(() => {
      drained = true;
    });
    await clock.advance(2_999);
    expect([drained, started]).toEqual([false, [1, 2, 3]]);
    await clock.advance(1);
    expect(drained).toBe(true);
  });

  it("resolves at once when nothing runs", async () => {
    const { dispatcher } = dispatcherBench(never);
    dispatcher.stopStarting();
    await expect(dispatcher.drained(new AbortController().signal)).resolves.toBeUndefined();
  });

  it("ends with its signal: what still runs is aborted and stays unfinished", async () => {
    const signals: AbortSignal[] = [];
    const { message, dispatcher } = dispatcherBench((_data, { signal }) => {
      signals.push(signal);
      return never();
    });
    message(1);
    const time = new AbortController();
    const drained = dispatcher.drained(time.signal);
    time.abort(new Error("20 s are over"));
    await expect(drained).rejects.toThrow("20 s are over");
    expect(signals[0]?.aborted).toBe(true);
    expect(dispatcher.position(0)?.unfinished).toEqual([{ sequence: 1, deaths: 1 }]);
  });
});
