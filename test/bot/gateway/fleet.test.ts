// The fleet over real sockets: it connects, keeps its sessions through faults, and spends no IDENTIFY without need.

import { describe, expect, it } from "vitest";
import { systemClock } from "../../../bot/clock.ts";
import type { Compression } from "../../../bot/gateway/inflate.ts";
import { gateway, gatewayPerTest, sent, started } from "./fleetOnTinyGateway.ts";
import { TOKEN } from "./fleetUnderTest.ts";

gatewayPerTest();

describe("connecting", () => {
  it.each<Compression>(["none", "zlib-stream", "zstd-stream"])("gets ready over %s", async (compression) => {
    // Compressing goes on in threads, where no still clock sees it.
    const subject = started({ compression, clock: systemClock() });
    await subject.until("ready", () => subject.ready() === 1);
    const big = "ä".repeat(200_000);
    gateway.dispatch(0, "MESSAGE_CREATE", { content: big });
    gateway.dispatch(0, "MESSAGE_CREATE", { content: "small" });
    await subject.until("three dispatches", () => subject.dispatched.length === 3);
    expect(subject.dispatched.map(({ sequence, type }) => [sequence, type])).toEqual([
      [1, "READY"],
      [2, "MESSAGE_CREATE"],
      [3, "MESSAGE_CREATE"],
    ]);
    const [connection] = gateway.connections;
    expect(connection?.query.get("v")).toBe("10");
    expect(connection?.query.get("encoding")).toBe("json");
    expect(connection?.query.get("compress")).toBe(compression === "none" ? null : compression);
    expect(connection?.userAgent).toBe("DiscordBot (https://github.com/mooring-bot/mooring, 0.1.0)");
    expect(sent(2)[0]?.d).toMatchObject({ token: TOKEN, intents: 513, shard: [0, 1], large_threshold: 50 });
    expect(JSON.stringify([subject.telemetry.events, subject.telemetry.lines])).not.toContain(TOKEN);
  });

  it("beats, and measures the acknowledgements", async () => {
    gateway.heartbeatIntervalMs = 1_000;
    const subject = started();
    await subject.until(
      "three beats",
      () => (subject.telemetry.samples.get("HeartbeatAckMilliseconds") ?? []).length > 2,
    );
    expect(subject.telemetry.counts.get("MissedHeartbeatAcks")).toBeUndefined();
    expect(sent(1).at(-1)?.d).toBe(1);
  });
});

describe("a lost connection", () => {
  it("is resumed at the resume host after a reset, with what was missed", async () => {
    const subject = started();
    await subject.until("ready", () => subject.ready() === 1);
    gateway.refuses = "reset";
    gateway.connections[0]?.socket.resetAndDestroy();
    await subject.until("a refused dial", () => gateway.dials > 1);
    gateway.dispatch(0, "MESSAGE_CREATE", { content: "missed" });
    gateway.refuses = undefined;
    await subject.until("ready again", () => subject.ready() === 1);
    expect(subject.dispatched.map(({ type, replayed }) => [type, replayed])).toEqual([
      ["READY", false],
      ["MESSAGE_CREATE", true],
      ["RESUMED", false],
    ]);
    expect(sent(2)).toHaveLength(1);
    expect(sent(6).at(-1)?.d).toMatchObject({ token: TOKEN, session_id: "session-0", seq: 1 });
    expect(subject.sessions.map(({ session, sequence }) => [session, sequence])).toEqual([
      ["started", 1],
      ["resumed", 2],
    ]);
  });
});
