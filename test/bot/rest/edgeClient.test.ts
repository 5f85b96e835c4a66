// A block by the edge as the client lives through it: one hit, everybody told, one question whether it is over.

import { describe, expect, it } from "vitest";
import { EdgeBanned } from "../../../bot/rest/client.ts";
import { channel, given, messages, ok, outcome } from "./given.ts";
import { type Reply, until } from "./harness.ts";

describe("a ban of the address", () => {
  const ban = (retryAfter?: number): Reply => ({
    status: 429,
    headers: { server: "cloudflare", ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }) },
    body: "error code: 1015",
  });

  it.each([[3600], [undefined]])(
    "a ban with Retry-After %s costs one hit, and every caller hears until when",
    async (retryAfter) => {
      const made = await given(() => ban(retryAfter));
      const first = await outcome(made.client.request({ method: "POST", path: messages(1), body: {} }));
      expect(first).toBeInstanceOf(EdgeBanned);
      const rest = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          outcome(made.client.request({ method: "GET", path: messages(index) })),
        ),
      );
      expect(rest.every((error) => error instanceof EdgeBanned && error.until > Date.now())).toBe(true);
      expect(made.discord.arrivals).toHaveLength(1);
      expect(made.telemetry.flushes).toBe(1);
      expect(made.telemetry.events.map((event) => event.name)).toEqual(["edge.banned"]);
      expect(made.telemetry.events[0]?.fields).toMatchObject({ via: "rest", route: null, address: "203.0.113.7" });
      expect(made.client.status().edge.state).toBe("banned");
    },
  );

  it("a short ban is waited out, probed once with GET /gateway, and queued work flows", async () => {
    let banned = true;
    const made = await given(({ path }) => (banned ? ban(5) : ok({ path })), { rate: 20 });
    const calls = Array.from({ length: 20 }, (_, index) =>
      made.client.request({ method: "GET", path: messages(index) }),
    );
    await until(() => made.telemetry.flushes > 0 && made.client.status().inFlight === 0);
    const hits = made.discord.arrivals.length;
    banned = false;
    await Promise.all(calls);
    const probe = made.discord.arrivals[hits];
    expect(probe?.path).toBe("/api/v10/gateway");
    expect(probe?.headers.authorization).toBeUndefined();
    expect((probe?.at ?? 0) - (made.discord.arrivals[0]?.at ?? 0)).toBeGreaterThanOrEqual(5000);
    expect(made.edges.map((edge) => edge.state).at(-1)).toBe("clear");
    expect(made.telemetry.events.map((event) => event.name)).toEqual(["edge.banned", "edge.cleared"]);
  });
});

describe("a ban of one route", () => {
  it("narrows to it while others pass, and the rest goes on", async () => {
    const made = await given(
      async ({ path }) => {
        if (path.includes("/invites/"))
          return { status: 429, headers: { "retry-after": "120" }, body: "error code: 1015" };
        await until(() => made.telemetry.flushes > 0);
        return ok();
      },
      { rate: 20 },
    );
    const invite = outcome(made.client.request({ method: "GET", path: "/invites/abc" }));
    const other = made.client.request({ method: "GET", path: channel(1) });
    expect(await invite).toBeInstanceOf(EdgeBanned);
    await other;
    await made.client.request({ method: "GET", path: channel(2) });
    expect(await outcome(made.client.request({ method: "GET", path: "/invites/def" }))).toBeInstanceOf(EdgeBanned);
    expect(made.discord.arrivals.filter(({ path }) => path.includes("/invites/"))).toHaveLength(1);
    expect(made.client.status().edge).toMatchObject({ state: "clear", routes: ["GET /invites/{code}"] });
    expect(made.telemetry.levels.get("EdgeBannedRoutes")).toBe(1);
    expect(made.edges.at(-1)).toMatchObject({ state: "banned", route: "GET /invites/{code}" });
  });
});
