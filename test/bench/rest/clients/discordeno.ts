// Discordeno's REST as it comes; its base is replaced after it was made, for a proxy's base would turn its limits off.

import { call, loadPeer } from "../../peers/load.ts";
import { type Send, type Setting, TOKEN } from "../contenders.ts";

export async function open({ origin }: Setting): Promise<Send> {
  const quiet = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} };
  const rest = call(await loadPeer("@discordeno/rest"), "createRestManager", { token: TOKEN, logger: quiet });
  if (typeof rest !== "object" || rest === null) throw new Error("createRestManager made no manager");
  Reflect.set(rest, "baseUrl", `${origin}/api`);
  return async (method, path, body) => await call(rest, "makeRequest", method, path, { body });
}
