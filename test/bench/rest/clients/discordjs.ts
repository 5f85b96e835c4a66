// The REST of discord.js as it comes.

import { call, construct, loadPeer } from "../../peers/load.ts";
import { type Send, type Setting, TOKEN } from "../contenders.ts";

export async function open({ origin, unlimited }: Setting): Promise<Send> {
  const rest = construct(await loadPeer("@discordjs/rest"), "REST", {
    version: "10",
    api: `${origin}/api`,
    ...(unlimited ? { globalRequestsPerSecond: Number.POSITIVE_INFINITY } : {}),
  });
  call(rest, "setToken", TOKEN);
  return async (method, path, body) => await call(rest, "request", { method, fullRoute: path, body });
}
