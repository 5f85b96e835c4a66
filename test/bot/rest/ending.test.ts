// How a call ends without its answer: by its signal, its deadline, silence, nobody there, or the client's stop.

import { describe, expect, it } from "vitest";
import { channel, given, kindOf, limited, messages, ok, outcome } from "./given.ts";
import { id, limits, until } from "./harness.ts";

describe("giving up", () => {
  it("a signal ends a call while queued, in flight and in a 429 wait, and the next goes on", async () => {
    const made = await given(
      ({ number }) => {
        if (number === 0) return () => {};
        return number === 1 ? limited("user", 60, limits("h", 5, 0, 60_000)) : ok();
      },
      { rate: 20 },
    );
    const flying = new AbortController();
    const queued = new AbortController();
    const waiting = new AbortController();
    const calls = [flying, queued, waiting].map(({ signal }) =>
      outcome(made.client.request({ method: "POST", path: messages(1), body: {}, signal })),
    );
    await until(() => made.discord.arrivals.length === 1);
    queued.abort("queued");
    flying.abort("flying");
    await until(() => made.telemetry.counts.has("RateLimited"));
    waiting.abort("waiting");
    expect(await Promise.all(calls)).toEqual(["flying", "queued", "waiting"]);
    expect(made.client.status()).toMatchObject({ queued: 0, inFlight: 0 });
    await expect(
      made.client.request({ method: "GET", path: "/gateway", signal: AbortSignal.abort("before") }),
    ).rejects.toBe("before");
  });

  it("a deadline ends a call, and one that cannot be kept is refused before it queues", async () => {
    const made = await given(({ number }) => ({ status: 200, headers: limits("h", 1, 0, 60_000), body: { number } }), {
      rate: 20,
    });
    await made.client.request({ method: "POST", path: messages(1), body: {} });
    const start = made.clock.now();
    expect(await kindOf(made.client.request({ method: "POST", path: messages(1), body: {}, deadlineMs: 30_000 }))).toBe(
      "deadline",
    );
    expect(made.clock.now() - start).toBeLessThan(20_000);
    const silent = await given(() => () => {}, { rate: 20 });
    expect(await kindOf(silent.client.request({ method: "POST", path: messages(1), body: {}, deadlineMs: 500 }))).toBe(
      "deadline",
    );
    expect(silent.client.status().inFlight).toBe(0);
  });

  it("an answer that never comes is a timeout, once for a POST", async () => {
    const made = await given(() => () => {}, { rate: 40 });
    expect(await kindOf(made.client.request({ method: "POST", path: `/guilds/${id(1)}/channels`, body: {} }))).toBe(
      "timeout",
    );
    expect(made.discord.arrivals).toHaveLength(1);
  });

  it("a retry by nonce that finds the message deleted is done", async () => {
    const made = await given(
      ({ number }) =>
        number === 0
          ? (response) => response.socket?.destroy()
          : { status: 404, headers: { via: "1.1 google" }, body: { code: 10008, message: "Unknown Message" } },
      { rate: 20 },
    );
    expect(await made.client.request({ method: "POST", path: messages(1), body: { content: "x" } })).toBeUndefined();
    const first = await given(() => ({ status: 404, body: { code: 10008, message: "Unknown Message" } }));
    expect(await kindOf(first.client.request({ method: "POST", path: messages(1), body: { content: "x" } }))).toBe(
      "missing",
    );
  });

  it("nobody there at all is a network error after retries, for a POST too, since no byte left", async () => {
    const made = await given(() => ok(), { rate: 20 });
    await made.discord.close();
    expect(await kindOf(made.client.request({ method: "POST", path: `/guilds/${id(1)}/channels`, body: {} }))).toBe(
      "network",
    );
    expect(made.telemetry.counts.get("RequestRetries")).toBe(4);
  });
});

describe("stop", () => {
  it("refuses new calls, lets queued ones finish, and closes", async () => {
    const made = await given(() => ok(), { rate: 20 });
    const calls = Array.from({ length: 20 }, () =>
      kindOf(made.client.request({ method: "POST", path: messages(1), body: {} })),
    );
    const stopping = made.client.stop(60_000);
    expect(await kindOf(made.client.request({ method: "GET", path: channel(1) }))).toBe("stopped");
    await stopping;
    expect(new Set(await Promise.all(calls))).toEqual(new Set(["done"]));
  });

  it("fails what is left at the deadline", async () => {
    const made = await given(() => () => {}, { rate: 20 });
    const calls = Array.from({ length: 5 }, () =>
      kindOf(made.client.request({ method: "POST", path: messages(1), body: {} })),
    );
    await made.client.stop(1000);
    expect(await Promise.all(calls)).toEqual(Array(5).fill("stopped"));
  });
});
