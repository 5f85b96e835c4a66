// What becomes of events when their session is new, dropped, gone over to another process or left by an earlier one.

import { describe, expect, it } from "vitest";
import type { Dispatcher } from "../../../bot/gateway/dispatch.ts";
import { dispatcherBench, never, storedSession } from "./dispatcherBench.ts";

describe("sessions", () => {
  const ready = (dispatcher: Dispatcher): void => dispatcher.dispatch(0, 1, "READY", {});
  const announced = (dispatcher: Dispatcher): void => dispatcher.onSession(0, "started", 1);

  it.each([
    ["after its READY", [ready, announced]],
    ["before its READY", [announced, ready]],
    ["never", [ready]],
  ])("start anew when a new one is announced %s, and an old handler does not move it", async (_when, steps) => {
    const { clock, message, dispatcher, started } = dispatcherBench(() => clock.sleep(1_000));
    for (const step of steps) step(dispatcher);
    message(2);
    message(3);
    for (const step of steps) step(dispatcher);
    message(2, "2");
    expect(started).toEqual([2, 2]);
    expect(dispatcher.position(0)).toMatchObject({
      received: 2,
      finished: 1,
      unfinished: [{ sequence: 2, deaths: 1 }],
    });
    await clock.advance(500);
    message(3, "3");
    await clock.advance(500);
    expect(dispatcher.position(0)).toMatchObject({ received: 3, finished: 2, finishedAbove: [] });
    await clock.advance(2_000);
    expect(started).toEqual([2, 2, 3, 3]);
  });

  it("have no position once dropped", () => {
    const { message, dispatcher } = dispatcherBench(() => undefined);
    message(5);
    expect(dispatcher.position(0)?.finished).toBe(5);
    dispatcher.onSession(0, "dropped", 5);
    expect(dispatcher.position(0)).toBeUndefined();
  });

  it("are kept apart by shard", () => {
    const { message, dispatcher, started } = dispatcherBench(() => undefined);
    message(5, "1", 0);
    message(3, "2", 1);
    expect(started).toEqual([5, 3]);
    expect([dispatcher.position(0)?.received, dispatcher.position(1)?.received]).toEqual([5, 3]);
  });

  it("go on from an earlier process: done ones dropped, poison skipped, the rest run, each once", () => {
    const { message, dispatcher, started, telemetry } = dispatcherBench(never);
    dispatcher.restore(
      storedSession({
        sequence: 10,
        finishedAbove: [12, 15],
        unfinished: [
          { sequence: 11, deaths: 1 },
          { sequence: 13, deaths: 2 },
        ],
      }),
    );
    for (let sequence = 11; sequence <= 16; sequence++) message(sequence, `${sequence}`);
    dispatcher.onSession(0, "resumed", 16);
    message(16);
    expect(started).toEqual([11, 14, 16]);
    expect(telemetry.named("dispatch.poison")).toEqual([{ shard: 0, seq: 13, type: "MESSAGE_CREATE", deaths: 2 }]);
    expect(dispatcher.position(0)).toEqual({
      received: 16,
      finished: 10,
      finishedAbove: [12, 13, 15],
      unfinished: [
        { sequence: 11, deaths: 2 },
        { sequence: 14, deaths: 1 },
        { sequence: 16, deaths: 1 },
      ],
    });
  });

  it("know what an earlier process finished also behind a RESUMED that the replay brings again", () => {
    const { message, dispatcher, started } = dispatcherBench(never);
    dispatcher.restore(storedSession({ sequence: 10, finishedAbove: [12, 15] }));
    dispatcher.onSession(0, "resumed", 10);
    dispatcher.dispatch(0, 11, "RESUMED", {});
    for (let sequence = 12; sequence <= 16; sequence++) message(sequence, `${sequence}`);
    expect(started).toEqual([13, 14, 16]);
  });

  it.each<[string, (dispatcher: Dispatcher) => void]>([
    ["told to start nothing", (dispatcher) => dispatcher.stopStarting()],
    ["given away", (dispatcher) => dispatcher.release(0)],
  ])("keep what an earlier process left when the replay comes after they were %s", (_what, end) => {
    const { message, dispatcher } = dispatcherBench(never);
    const left = { finishedAbove: [12, 15], unfinished: [{ sequence: 11, deaths: 1 }] };
    dispatcher.restore(storedSession({ sequence: 10, ...left }));
    end(dispatcher);
    for (let sequence = 11; sequence <= 16; sequence++) message(sequence);
    dispatcher.onSession(0, "resumed", 16);
    expect(dispatcher.position(0)).toMatchObject({ finished: 10, ...left });
  });

  it("begin nothing again when the shard comes back that their own handlers run or have finished since", async () => {
    const { clock, message, dispatcher, started } = dispatcherBench((_data, { sequence }) =>
      clock.sleep(sequence * 1_000),
    );
    for (const sequence of [1, 2, 3]) message(sequence, `${sequence}`);
    dispatcher.release(0);
    await clock.advance(1_500);
    for (let moves = 0; moves < 2; moves++) {
      const back = dispatcher.takeBack(0);
      expect(back?.position).toMatchObject({ finished: 1 });
      dispatcher.restore(storedSession({ sequence: back?.position.finished ?? 0 }), back?.held);
      if (moves === 0) dispatcher.release(0);
    }
    expect(dispatcher.running(0)).toEqual([2, 3]);
    for (const sequence of [2, 3, 4]) message(sequence, `${sequence}`);
    await clock.advance(1_000);
    expect(dispatcher.position(0)).toMatchObject({ received: 4, finished: 2 });
    expect(dispatcher.running(0)).toEqual([3, 4]);
    await clock.advance(3_000);
    expect(dispatcher.position(0)).toMatchObject({ received: 4, finished: 4 });
    expect(started).toEqual([1, 2, 3, 4]);
  });

  it.each(["release", "lose"] as const)(
    "run what came over once, when the shard comes back after they %s it",
    async (leave) => {
      const { clock, message, dispatcher, started } = dispatcherBench(never);
      const there = Promise.withResolvers<"run">();
      dispatcher.restore(storedSession({ sequence: 10 }), (sequence) => (sequence === 11 ? there.promise : undefined));
      message(11, "11");
      dispatcher[leave](0);
      const back = dispatcher.takeBack(0);
      await clock.advance(0);
      expect(back?.position).toMatchObject({ finished: 10, finishedAbove: [] });
      dispatcher.restore(storedSession({ sequence: 10 }), back?.held);
      message(11, "11");
      there.resolve("run");
      await clock.advance(0);
      expect(started).toEqual([11]);
      expect(dispatcher.running(0)).toEqual([11]);
    },
  );

  it("say so when an event runs for so long that its place is given up", () => {
    const { message, dispatcher, telemetry } = dispatcherBench(never);
    message(1);
    for (let sequence = 2; sequence <= 10_002; sequence++) dispatcher.dispatch(0, sequence, "TYPING_START", {});
    expect(dispatcher.position(0)?.finished).toBe(10_002);
    expect(telemetry.lines).toMatchObject([
      { level: "warn", message: expect.stringContaining("will not bring it again") },
    ]);
  });
});
