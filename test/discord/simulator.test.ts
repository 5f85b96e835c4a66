// The simulator itself over real sockets: compressed frames, waiting for a change, and stopping without a trace.

import { constants, inflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { USER_AGENT } from "./client.ts";
import { clock, discord, greeted, ready, simulatePerTest, start } from "./fixture.ts";

simulatePerTest();

describe("zlib-stream", () => {
  it("messages can come in two frames, and still end with the flush marker", async () => {
    await start();
    discord.faults.gateway.splitFrames(true);
    const socket = new WebSocket(`${discord.gatewayUrl}/?v=10&encoding=json&compress=zlib-stream`, {
      headers: { "User-Agent": USER_AGENT },
    });
    const frames: Buffer[] = [];
    await new Promise<void>((resolve) => {
      socket.on("message", (data: Buffer) => {
        if (frames.push(data) === 2) resolve();
      });
    });
    const marker = Buffer.from([0, 0, 0xff, 0xff]);
    expect(frames.map((frame) => frame.subarray(-4).equals(marker))).toEqual([false, true]);
    const hello = inflateSync(Buffer.concat(frames), { finishFlush: constants.Z_SYNC_FLUSH });
    expect(JSON.parse(hello.toString())).toMatchObject({ op: 10, d: { heartbeat_interval: 41_250 } });
    socket.terminate();
  });
});

describe("the simulator itself", () => {
  it("waits: resolves on the change, rejects past its limit, on abort and when it stops", async () => {
    await start();
    const late = discord.waitFor(() => false, 1_000);
    const expectation = expect(late).rejects.toThrow("1000 ms");
    await clock.advance(1_000);
    await expectation;
    const abort = new AbortController();
    const aborted = expect(discord.waitFor(() => false, abort.signal)).rejects.toThrow("aborted");
    abort.abort();
    await aborted;
    const dialled = discord.waitFor(() => discord.counts.dials === 1);
    await greeted();
    await dialled;
    const stopped = expect(discord.waitFor(() => false)).rejects.toThrow("stopped");
    await discord.stop();
    await stopped;
  });

  it("stops with clients attached and leaves no timer", async () => {
    await start();
    const { client } = await ready();
    discord.faults.gateway.blackHole(0);
    const other = await greeted();
    other.send(1, null);
    await other.next(11);
    discord.faults.gateway.refuseUpgrades({ status: 403, durationMs: 60_000 });
    await discord.stop();
    await Promise.all([client.end(), other.end()]);
    expect(clock.pending()).toBe(0);
  });
});
