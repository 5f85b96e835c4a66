// What the tests of the client as a whole share: a setting that ends with its test, plain answers, how a call ended.

import { onTestFinished } from "vitest";
import { RestError } from "../../../bot/rest/client.ts";
import { id, type Reply, type Setting, setting, soon } from "./harness.ts";

/** A client and the loopback server it talks to, which end with the test. */
export async function given(...parameters: Parameters<typeof setting>): Promise<Setting> {
  const made = await setting(...parameters);
  onTestFinished(made.end);
  return made;
}

/** An answer of the API's, by way of the edge. */
export const ok = (body: unknown = {}) =>
  ({ status: 200, headers: { via: "1.1 google" }, body }) as const satisfies Reply;

/** The API's 429. */
export function limited(scope: string, seconds: number, headers: Record<string, string> = {}): Reply {
  return {
    status: 429,
    headers: { via: "1.1 google", "x-ratelimit-scope": scope, "retry-after": String(Math.ceil(seconds)), ...headers },
    body: { message: "You are being rate limited.", retry_after: seconds, global: scope === "global" },
  };
}

export const channel = (number: number): string => `/channels/${id(number)}`;
export const messages = (number: number): string => `${channel(number)}/messages`;

/** What a call failed with, or "done". */
export const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  soon(promise).then(
    () => "done",
    (error: unknown) => error,
  );

/** The kind of what a call failed with, or "done". */
export const kindOf = async (promise: Promise<unknown>): Promise<string> => {
  const result = await outcome(promise);
  return result instanceof RestError ? result.kind : String(result);
};
