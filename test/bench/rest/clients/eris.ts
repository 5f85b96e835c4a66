// The REST of eris as it comes; it speaks HTTPS only, so in this process HTTPS is plain HTTP.

import http, { type RequestOptions } from "node:http";
import https from "node:https";
import { syncBuiltinESMExports } from "node:module";
import { call, construct, loadPeer, member } from "../../peers/load.ts";
import { type Send, type Setting, TOKEN } from "../contenders.ts";

export async function open({ origin }: Setting): Promise<Send> {
  const { hostname, port } = new URL(origin);
  const agent = new http.Agent({ keepAlive: true });
  Reflect.set(https, "request", (options: RequestOptions) =>
    http.request({ ...options, agent, host: hostname, port: Number(port) }),
  );
  syncBuiltinESMExports();
  const client = construct(await loadPeer("eris"), "Client", `Bot ${TOKEN}`, {
    restMode: true,
    rest: { baseURL: "/api/v10", domain: hostname },
  });
  call(client, "on", "error", () => {});
  const handler = member(client, "requestHandler");
  return async (method, path, body) => await call(handler, "request", method, path, true, body);
}
