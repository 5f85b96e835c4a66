// The status port and the container's health check, over real sockets on loopback.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import path from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type StatusOptions, type StatusServer, startStatusServer } from "../../../bot/telemetry/health.ts";
import { VARIABLES } from "../../../shared/environment.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function serve(options: Partial<StatusOptions> = {}): Promise<StatusServer> {
  const server = await startStatusServer({
    port: 0,
    live: () => true,
    ready: () => true,
    state: () => ({ shards: [] }),
    ...options,
  });
  ends.push(() => server.stop());
  return server;
}

async function ask(port: number, pathname: string, method = "GET") {
  const response = await fetch(`http://127.0.0.1:${port}${pathname}`, { method });
  return { status: response.status, body: await response.text(), allow: response.headers.get("allow") };
}

describe("the status port", () => {
  it.each([
    ["/live", {}, 200, '{"live":true}\n'],
    ["/live", { live: () => false }, 503, '{"live":false}\n'],
    ["/live", { ready: () => false }, 200, '{"live":true}\n'],
    ["/ready", {}, 200, '{"ready":true}\n'],
    ["/ready", { ready: () => false }, 503, '{"ready":false}\n'],
    ["/state", {}, 200, '{"shards":[]}\n'],
    ["/state", { state: () => undefined }, 200, "null\n"],
    ["/state?pretty", {}, 200, '{"shards":[]}\n'],
    ["/state", { state: () => ({ big: 1n }) }, 500, expect.stringContaining("BigInt")],
    [
      "/live",
      {
        live: () => {
          throw new Error("bug");
        },
      },
      500,
      '{"error":"Error: bug"}\n',
    ],
    ["/", {}, 404, expect.stringContaining("GET /live, /ready and /state")],
    ["/live/", {}, 404, expect.any(String)],
  ] satisfies [string, Partial<StatusOptions>, number, unknown][])(
    "answers %s",
    async (pathname, options, status, body) => {
      const { port } = await serve(options);
      expect(await ask(port, pathname)).toEqual({ status, body, allow: null });
    },
  );

  it.each(["POST", "PUT", "DELETE", "OPTIONS"])("refuses %s", async (method) => {
    const { port } = await serve();
    expect(await ask(port, "/live", method)).toMatchObject({ status: 405, allow: "GET" });
  });

  it("listens on loopback only", async () => {
    const { port } = await serve();
    expect(port).toBeGreaterThan(0);
    const socket = connect(port, "127.0.0.2");
    const [error] = await once(socket, "error");
    expect(error).toMatchObject({ code: "ECONNREFUSED" });
  });

  it("names a port that is taken, and the fix", async () => {
    const { port } = await serve();
    await expect(serve({ port })).rejects.toMatchObject({
      name: "StatusServerError",
      kind: "portTaken",
      message: expect.stringMatching(new RegExp(`STATUS_PORT ${port} .*another port \\(0 takes any free one\\)`)),
    });
  });

  it("stops at once with connections open, and frees the port", async () => {
    const { port, stop } = await serve();
    const idle = connect(port, "127.0.0.1");
    await once(idle, "connect");
    const half = connect(port, "127.0.0.1");
    half.write("GET /live HTTP/1.1\r\n");
    await once(half, "connect");
    // A reset is as good as an end here, and `once` would take it for a failure.
    const closed = [idle, half].map(
      (socket) => new Promise((resolve) => socket.on("error", () => {}).on("close", resolve)),
    );
    idle.resume();
    half.resume();
    await stop();
    await Promise.all(closed);
    await serve({ port });
  });
});

describe("the health check", () => {
  async function check(statusPort: string | undefined): Promise<{ code: number | null; told: string }> {
    const { STATUS_PORT: _, ...rest } = process.env;
    const child = spawn(process.execPath, [path.resolve(import.meta.dirname, "../../../bot/healthCheck.ts")], {
      env: statusPort === undefined ? rest : { ...rest, STATUS_PORT: statusPort },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let told = "";
    child.stdout.on("data", (text) => {
      told += text;
    });
    const [code] = await once(child, "close");
    return { code, told };
  }

  it.each([
    [true, 0, "status 200"],
    [false, 1, "status 503"],
  ])("with live %s exits %i", async (live, code, told) => {
    const { port } = await serve({ live: () => live, ready: () => false });
    expect(await check(`${port}`)).toEqual({ code, told: expect.stringContaining(told) });
  });

  it("exits 1 when nothing listens, or the port is none", async () => {
    const { port, stop } = await serve();
    await stop();
    expect(await check(`${port}`)).toMatchObject({ code: 1 });
    expect(await check("no port")).toMatchObject({ code: 1 });
  });

  it("exits 1 by itself when the bot accepts but never answers", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
    ends.push(async () => {
      silent.closeAllConnections();
      silent.close();
      await once(silent, "close");
    });
    const address = silent.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    expect(await check(`${port}`)).toEqual({ code: 1, told: expect.stringContaining("no answer within 3500 ms") });
  });

  it("asks the port that the bot listens on by default", async () => {
    const { told } = await check(undefined);
    expect(told).toContain(`:${VARIABLES.STATUS_PORT.fallback}/live`);
  });
});
