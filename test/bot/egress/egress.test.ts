// The egress proof: what one look means, when the next one comes, and the echo over a real socket.

import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { askEcho } from "../../../bot/egress/echo.ts";
import { watchEgress } from "../../../bot/egress/egressWatch.ts";
import {
  addressIn,
  DOUBT_EVERY_MS,
  type EgressProof,
  egressStep,
  LOOK_EVERY_MS,
  SILENCE_EVERY_MS,
} from "../../../bot/egress/proof.ts";
import { virtualClock } from "../../virtualClock.ts";
import { recordingTelemetry } from "../telemetry/recordingTelemetry.ts";

const OWN = ["203.0.113.7", "203.0.113.8"];
const UNKNOWN: EgressProof = { state: "unknown" };
const PROVEN: EgressProof = { state: "proven", address: "203.0.113.7" };
const MISMATCHED: EgressProof = { state: "mismatched", address: "198.51.100.1" };

describe("addressIn", () => {
  it.each([
    ["203.0.113.7\n", "203.0.113.7"],
    [" 0.0.0.0 ", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["256.0.0.1", undefined],
    ["1.2.3", undefined],
    ["1.2.3.4.", undefined],
    ["1.2.3.4.5", undefined],
    ["2001:db8::1", undefined],
    ["<html>203.0.113.7</html>", undefined],
    ["", undefined],
  ])("of %j is %s", (answer, address) => {
    expect(addressIn(answer)).toBe(address);
  });

  it("finds every IPv4 address", () => {
    fc.assert(fc.property(fc.ipV4(), (address) => addressIn(`${address}\n`) === address));
  });
});

describe("egressStep", () => {
  it.each<[what: string, from: EgressProof, seen: string | undefined, to: EgressProof, news: boolean, next: number]>([
    ["a first proof", UNKNOWN, "203.0.113.7", PROVEN, true, LOOK_EVERY_MS],
    ["the same again", PROVEN, "203.0.113.7", PROVEN, false, LOOK_EVERY_MS],
    [
      "the other NAT's address",
      PROVEN,
      "203.0.113.8",
      { state: "proven", address: "203.0.113.8" },
      true,
      LOOK_EVERY_MS,
    ],
    ["a stranger's address at the start", UNKNOWN, "198.51.100.1", MISMATCHED, true, DOUBT_EVERY_MS],
    ["a stranger's address later", PROVEN, "198.51.100.1", MISMATCHED, true, DOUBT_EVERY_MS],
    ["still the stranger's", MISMATCHED, "198.51.100.1", MISMATCHED, false, DOUBT_EVERY_MS],
    ["back at home", MISMATCHED, "203.0.113.7", PROVEN, true, LOOK_EVERY_MS],
    ["no answer at the start", UNKNOWN, undefined, UNKNOWN, false, SILENCE_EVERY_MS],
    ["no answer after a proof", PROVEN, undefined, PROVEN, false, SILENCE_EVERY_MS],
    ["no answer in doubt, which mends nothing", MISMATCHED, undefined, MISMATCHED, false, DOUBT_EVERY_MS],
  ])("takes %s", (_, from, seen, proof, news, lookInMs) => {
    expect(egressStep(from, seen, OWN)).toEqual({ proof, news, lookInMs });
  });
});

/** A watch under a virtual clock, whose echo answers what `answers` says next. */
function watched(answers: (string | undefined | "hangs")[], addresses: readonly string[] = OWN) {
  const clock = virtualClock();
  const telemetry = recordingTelemetry();
  const end = new AbortController();
  const asked: number[] = [];
  const probed: number[] = [];
  const proven: string[] = [];
  watchEgress({
    clock,
    telemetry,
    addresses,
    signal: end.signal,
    askEcho(signal) {
      asked.push(clock.now());
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      if (answer !== "hangs") return Promise.resolve(answer);
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
    onProven: (address) => void proven.push(address),
    probeEdge() {
      probed.push(clock.now());
      return Promise.reject(new Error("the edge is shut"));
    },
  });
  return { clock, telemetry, end, asked, probed, proven };
}

describe("watchEgress", () => {
  it("proves the address at the start and every hour, and says so once", async () => {
    const { clock, telemetry, asked } = watched(["203.0.113.7"]);
    await clock.advance(3 * LOOK_EVERY_MS);
    expect(asked).toEqual([0, LOOK_EVERY_MS, 2 * LOOK_EVERY_MS, 3 * LOOK_EVERY_MS]);
    expect(telemetry.events).toEqual([{ name: "egress.proven", fields: { address: "203.0.113.7" } }]);
    expect(telemetry.levels.get("EgressMismatch")).toBe(0);
  });

  it("raises the level on a stranger's address, looks again each minute, and lowers it at home", async () => {
    const { clock, telemetry, asked, proven } = watched(["198.51.100.1", "198.51.100.1", undefined, "203.0.113.8"]);
    await clock.advance(2 * DOUBT_EVERY_MS);
    expect(telemetry.levels.get("EgressMismatch")).toBe(1);
    await clock.advance(DOUBT_EVERY_MS);
    expect(telemetry.levels.get("EgressMismatch")).toBe(0);
    expect(asked).toEqual([0, 1, 2, 3].map((look) => look * DOUBT_EVERY_MS));
    expect(telemetry.events).toEqual([
      { name: "egress.mismatch", fields: { address: "198.51.100.1", expected: "203.0.113.7, 203.0.113.8" } },
      { name: "egress.proven", fields: { address: "203.0.113.8" } },
    ]);
    expect(proven).toEqual(["203.0.113.8"]);
  });

  it("takes an echo that is down, or hangs, for no finding", async () => {
    const { clock, telemetry, asked } = watched([undefined, "hangs"]);
    await clock.advance(LOOK_EVERY_MS);
    expect(asked.length).toBeGreaterThan(10);
    expect(telemetry.events).toEqual([]);
    expect(telemetry.levels.get("EgressMismatch")).toBe(0);
  });

  it("asks nobody when there is nothing to compare with", async () => {
    const { clock, asked } = watched(["198.51.100.1"], []);
    await clock.advance(LOOK_EVERY_MS);
    expect(asked).toEqual([]);
  });

  it("asks Discord's edge every hour, whatever came of it, and not at the start", async () => {
    const { clock, probed } = watched(["203.0.113.7"]);
    await clock.advance(2 * LOOK_EVERY_MS);
    expect(probed).toEqual([LOOK_EVERY_MS, 2 * LOOK_EVERY_MS]);
  });

  it("ends with the run and leaves no timer", async () => {
    const { clock, telemetry, end, asked } = watched(["hangs"]);
    await clock.advance(1_000);
    end.abort(new Error("the run is over"));
    await clock.advance(2 * LOOK_EVERY_MS);
    expect(asked).toEqual([0]);
    expect(clock.pending()).toBe(0);
    expect(telemetry.events).toEqual([]);
  });
});

describe("askEcho", () => {
  async function echo(listener: RequestListener): Promise<string> {
    const server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  const never = new AbortController().signal;

  it.each<[what: string, listener: RequestListener, address: string | undefined]>([
    ["an address", (_, response) => response.end("203.0.113.7\n"), "203.0.113.7"],
    ["a page", (_, response) => response.end("<html>".repeat(10_000)), undefined],
    ["an error", (_, response) => response.writeHead(503).end("203.0.113.7"), undefined],
    ["a redirect", (_, response) => response.writeHead(302, { location: "/" }).end("203.0.113.7"), undefined],
    ["a broken line", (request) => request.socket.destroy(), undefined],
  ])("reads %s", async (_, listener, address) => {
    expect(await askEcho(await echo(listener), never)).toBe(address);
  });

  it("keeps no connection", async () => {
    const connections = new Set<unknown>();
    const url = await echo((request, response) => {
      connections.add(request.socket);
      response.end("203.0.113.7");
    });
    for (let look = 0; look < 3; look++) await askEcho(url, never);
    expect(connections.size).toBe(3);
  });

  it("gives up when told to", async () => {
    const impatient = new AbortController();
    const url = await echo(() => impatient.abort());
    expect(await askEcho(url, impatient.signal)).toBeUndefined();
  });
});
