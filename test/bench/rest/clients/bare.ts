// The floor: undici's Pool and JSON, nothing kept.

import { Pool } from "undici";
import { type Send, type Setting, TOKEN } from "../contenders.ts";

export async function open({ origin }: Setting): Promise<Send> {
  const pool = new Pool(origin, { allowH2: false, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
  const headers = { authorization: `Bot ${TOKEN}`, "user-agent": "DiscordBot (https://example.com, 1.0)" };
  return async (method, path, body) => {
    const answer = await pool.request({
      method,
      path: `/api/v10${path}`,
      headers: body === undefined ? headers : { ...headers, "content-type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });
    return await answer.body.json();
  };
}
