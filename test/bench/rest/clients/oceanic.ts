// The REST of oceanic.js as it comes.

import { call, construct, loadPeer, member } from "../../peers/load.ts";
import { type Send, type Setting, TOKEN } from "../contenders.ts";

export async function open({ origin }: Setting): Promise<Send> {
  const client = construct(await loadPeer("oceanic.js"), "Client", {
    auth: `Bot ${TOKEN}`,
    disableCache: "no-warning",
    rest: { baseURL: `${origin}/api/v10` },
  });
  call(client, "on", "error", () => {});
  const rest = member(client, "rest");
  return async (method, path, body) => await call(rest, "authRequest", { method, path, json: body });
}
