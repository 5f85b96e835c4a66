// Leaving through a proxy: REST and the gateway over a real CONNECT proxy on loopback, its refusals, and its secret.

import { createServer, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, connect as connectTcp } from "node:net";
import type { Duplex } from "node:stream";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../bot/clock.ts";
import { proxyName, TunnelError, tunnelAgent, tunnelOpener } from "../../bot/egressProxy.ts";
import { connect } from "../../bot/gateway/connection.ts";
import { RestError } from "../../bot/rest/client.ts";
import { type ProxyAddress, proxyAddress } from "../../shared/proxyAddress.ts";
import { startSimulatedDiscord } from "../discord/index.ts";
import { setting, TOKEN } from "./rest/harness.ts";

const PASSWORD = "p@ss word-that-is-hidden";
const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const read = (text: string): ProxyAddress => {
  const reading = proxyAddress.read(text);
  return reading.ok ? reading.value : expect.unreachable(reading.problem);
};

/** A proxy that tunnels for whoever knows the password. */
async function proxyServer(answer: (asked: IncomingMessage) => number = () => 200) {
  const asked: string[] = [];
  const sockets = new Set<Duplex>();
  const server: Server = createServer();
  server.on("connect", (request, socket, head) => {
    sockets.add(socket);
    socket.on("error", () => {});
    asked.push(request.url ?? "");
    const right = `Basic ${Buffer.from(`me:${PASSWORD}`).toString("base64")}`;
    const status = request.headers["proxy-authorization"] === right ? answer(request) : 407;
    if (status === 0) return;
    if (status !== 200) {
      socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    const { hostname, port } = new URL(`http://${request.url}`);
    const onward = connectTcp(Number(port), hostname, () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    onward.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { asked, address: (user = "me") => `http://${user}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}` };
}

/** The fault behind a failed call. */
function faulty(error: unknown): { readonly kind: string; readonly cause: Error; readonly text: string } {
  if (!(error instanceof RestError)) throw error;
  const { kind, cause } = error;
  if (!(cause instanceof Error)) throw error;
  return { kind, cause, text: JSON.stringify([cause.message, cause.stack, { ...cause }, error.message, { ...error }]) };
}

async function given(text: string, rate = 1) {
  const clock = systemClock(rate);
  const made = await setting(() => ({ status: 200, body: { fine: true } }), {
    clock,
    open: tunnelOpener(read(text), clock),
  });
  ends.push(() => made.end());
  return made;
}

describe("a proxy", () => {
  it("carries REST, with fewer tunnels than requests", async () => {
    const proxy = await proxyServer();
    const made = await given(proxy.address());
    for (let number = 0; number < 10; number++) {
      expect(await made.client.request({ method: "GET", path: `/users/${number}` })).toEqual({ fine: true });
    }
    expect(new Set(proxy.asked)).toEqual(new Set([new URL(made.discord.url).host]));
    expect(proxy.asked.length).toBeLessThan(5);
  });

  it("carries the gateway", async () => {
    const clock = systemClock();
    const proxy = await proxyServer();
    const discord = await startSimulatedDiscord({ clock, token: TOKEN });
    ends.push(() => discord.stop());
    const address = `${discord.gatewayUrl}/?v=10&encoding=json`;
    const hello = await new Promise<string>((resolve, reject) => {
      const agent = tunnelAgent(tunnelOpener(read(proxy.address()), clock), address);
      const connection = connect(
        { address, userAgent: "DiscordBot (https://example.com, 1.0)", compression: "none", clock, agent },
        { opened: () => {}, text: resolve, broken: reject, closed: (_, reason) => reject(new Error(reason)) },
      );
      ends.unshift(async () => {
        connection.close(4000);
        await connection.gone;
      });
    });
    expect(JSON.parse(hello)).toMatchObject({ op: 10 });
    expect(proxy.asked).toEqual([new URL(discord.gatewayUrl).host]);
  });

  type Case = readonly [string, string, (asked: IncomingMessage) => number, RegExp];
  it.each([
    ["wrong credentials", "other", () => 200, /refused .* with 407: check the user name and password in EGRESS_PROXY/],
    ["a port that it does not serve", "me", () => 403, /refused .* with 403: check that it may reach that port/],
    ["silence", "me", () => 0, /not open within 10000 ms/],
  ] satisfies Case[])("that answers with %s is named, and its password is not", async (_, user, answer, problem) => {
    const proxy = await proxyServer(answer);
    const made = await given(proxy.address(user), 100);
    const error = await made.client
      .request({ method: "POST", path: "/users/@me/channels", body: {} })
      .then(() => expect.unreachable(), faulty);
    expect(error).toMatchObject({ kind: "network", cause: expect.any(TunnelError) });
    expect(error.cause.message).toMatch(problem);
    expect(error.text).not.toContain("hidden");
    expect(made.discord.arrivals).toHaveLength(0);
  });

  it("that is not there is a network error", async () => {
    const made = await given("http://127.0.0.1:1", 100);
    const error = await made.client
      .request({ method: "GET", path: "/gateway" })
      .then(() => expect.unreachable(), faulty);
    expect(error).toMatchObject({ kind: "network" });
    expect(error.cause.message).toMatch(/through the egress proxy 127\.0\.0\.1:1: .*ECONNREFUSED/);
  });
});

describe("proxyAddress", () => {
  it.each([
    ["http://203.0.113.9:3128", { secure: false, host: "203.0.113.9", port: 3128, credentials: undefined }],
    ["https://proxy.example", { secure: true, host: "proxy.example", port: 443, credentials: undefined }],
    ["http://[::1]:8080/", { secure: false, host: "::1", port: 8080, credentials: undefined }],
  ])("%s", (text, expected) => {
    expect(read(text)).toEqual(expected);
  });

  it("keeps credentials apart, decoded", () => {
    const proxy = read(`http://me:${encodeURIComponent(PASSWORD)}@proxy.example:3128`);
    expect(proxy.credentials?.reveal()).toBe(`me:${PASSWORD}`);
    expect(proxyName(proxy)).toBe("proxy.example:3128");
    expect(JSON.stringify(proxy)).not.toContain("hidden");
  });

  it.each([
    ["me:hidden@proxy", /it must be an http/],
    ["socks5://me:hidden@proxy:1", /is a socks5: URL/],
    ["http://me:hidden@proxy:1/path", /has a path/],
    ["http://me:%E0%A4hidden@proxy:1", /broken % escape/],
  ])("refuses %s without repeating it", (text, problem) => {
    const reading = proxyAddress.read(text);
    expect(reading.ok ? "" : reading.problem).toMatch(problem);
    expect(JSON.stringify(reading)).not.toContain("hidden");
  });
});
