// Leaves through an HTTP proxy (CONNECT): a stopgap while the deployment's own address is burned.

import * as http from "node:http";
import * as https from "node:https";
import type { Socket } from "node:net";
import * as tls from "node:tls";
import type { ProxyAddress } from "../shared/proxyAddress.ts";
import type { Clock } from "./clock.ts";

/** From asking the proxy to a connection that can be used, TLS included. */
const TUNNEL_MS = 10_000;

/** Where a tunnel leads. */
export interface TunnelTarget {
  readonly hostname: string;
  readonly port: number;
  /** Whether TLS is spoken inside of the tunnel: the proxy sees neither the token nor what is said. */
  readonly secure: boolean;
}

/** Opens a connection; exactly one of error and socket is given, once. */
export type OpenTunnel = (target: TunnelTarget, done: (error: Error | null, socket: Socket | null) => void) => void;

/** A tunnel could not be opened. The message names the proxy without its credentials, and the fix. */
export class TunnelError extends Error {
  override readonly name = "TunnelError";
  /** The proxy's answer to CONNECT, when it gave one. */
  readonly status: number | undefined;

  constructor(problem: string, details: { readonly status?: number; readonly cause?: unknown } = {}) {
    super(problem, details.cause === undefined ? undefined : { cause: details.cause });
    this.status = details.status;
  }
}

/** The proxy as it may be shown. */
export const proxyName = ({ host, port }: ProxyAddress): string => `${host}:${port}`;

/** Opens tunnels through a proxy. */
export function tunnelOpener(proxy: ProxyAddress, clock: Clock): OpenTunnel {
  const name = proxyName(proxy);
  return (target, done) => {
    const authority = `${target.hostname.includes(":") ? `[${target.hostname}]` : target.hostname}:${target.port}`;
    const headers: Record<string, string> = { host: authority };
    if (proxy.credentials !== undefined) {
      headers["proxy-authorization"] = `Basic ${Buffer.from(proxy.credentials.reveal()).toString("base64")}`;
    }
    const { request: ask } = proxy.secure ? https : http;
    const request = ask({
      host: proxy.host,
      port: proxy.port,
      method: "CONNECT",
      path: authority,
      headers,
      agent: false,
    });
    let opened: Socket | undefined;
    let settled = false;
    const settle = (error: Error | null): void => {
      if (settled) return;
      settled = true;
      cancel();
      if (error === null && opened !== undefined) done(null, opened);
      else {
        request.destroy();
        opened?.destroy();
        done(error, null);
      }
    };
    const fail = (cause: Error): void =>
      settle(
        new TunnelError(`no tunnel to ${authority} through the egress proxy ${name}: ${cause.message}`, { cause }),
      );
    const cancel = clock.schedule(TUNNEL_MS, () => fail(new Error(`not open within ${TUNNEL_MS} ms`)));

    request.on("error", fail);
    request.on("response", (answer) => {
      answer.resume();
      fail(new Error(`it answered ${answer.statusCode} without a tunnel`));
    });
    request.on("connect", (answer, socket) => {
      opened = socket;
      // What comes from here on belongs to whoever uses the tunnel, errors included.
      socket.on("error", fail);
      const status = answer.statusCode ?? 0;
      if (status !== 200) {
        const fix = status === 407 ? "check the user name and password" : "check that it may reach that port";
        settle(
          new TunnelError(`the egress proxy ${name} refused ${authority} with ${status}: ${fix} in EGRESS_PROXY`, {
            status,
          }),
        );
        return;
      }
      if (!target.secure) return settle(null);
      const secured = tls.connect({ socket, servername: target.hostname, ALPNProtocols: ["http/1.1"] });
      opened = secured;
      secured.on("error", fail);
      secured.once("secureConnect", () => settle(null));
    });
    request.end();
  };
}

/** The agent that takes a WebSocket's handshake through the proxy. @param address ws:// or wss:// */
export function tunnelAgent(open: OpenTunnel, address: string): http.Agent {
  const secure = new URL(address).protocol === "wss:";
  const agent = secure ? new https.Agent() : new http.Agent();
  agent.createConnection = (options, callback) => {
    const target = { hostname: String(options.host), port: Number(options.port), secure };
    // Node looks at the error alone when there is one.
    open(target, (error, socket) => callback?.(error, socket as Socket));
    return undefined;
  };
  return agent;
}
