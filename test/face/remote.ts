// A bot module that a test drives from outside: it tells its parent what it sees and does what its parent asks.

import type { Bot, DispatchData, HandlerContext } from "../../bot/defineBot.ts";

/** What the module tells; a parent reads it over the child's IPC channel. */
export type Told =
  | { readonly kind: "start"; readonly status: unknown; readonly userId: string | undefined }
  | { readonly kind: "dispatch"; readonly shard: number; readonly sequence: number; readonly type: string }
  | { readonly kind: "handling" | "handled" | "aborted"; readonly id: string; readonly sequence: number }
  | { readonly kind: "answer"; readonly id: number; readonly value?: unknown; readonly error?: RemoteError };

export interface RemoteError {
  readonly name: string;
  readonly kind: unknown;
  readonly message: string;
}

/** What a parent asks; `path` names a function of the bot, such as `rest.request`, or one of the module's own. */
export interface Asked {
  readonly id: number;
  readonly path: string;
  readonly arguments: readonly unknown[];
}

const tell = (told: Told): void => void process.send?.(told);
const held = new Map<string, () => void>();

/** Each of the module's own abilities: what a careless bot may do to its process. */
const own: Readonly<Record<string, (...given: unknown[]) => unknown>> = {
  release: (id) => held.get(String(id))?.(),
  throwInTimer: (message) => setTimeout(() => throwError(message), 0),
  reject: (message) => void Promise.reject(new Error(String(message))),
  print: (...given) => {
    console.log(...given);
    console.error(...given);
  },
  warn: (message) => process.emitWarning(String(message)),
};

/** A signal cannot travel over IPC. */
async function abortedRequest(bot: Bot, path: unknown): Promise<unknown> {
  const abort = new AbortController();
  const call = bot.rest.request({ method: "GET", path: String(path), signal: abort.signal });
  setTimeout(() => abort.abort(new Error("no longer wanted")), 20);
  return call;
}

function throwError(message: unknown): never {
  throw new Error(String(message));
}

async function answer(bot: Bot, { id, path, arguments: given }: Asked): Promise<void> {
  try {
    const [first = "", second] = path.split(".");
    const owner: unknown = second === undefined ? bot : Reflect.get(bot, first);
    const found: unknown = own[path] ?? Reflect.get(Object(owner), second ?? first);
    if (path === "abortedRequest") {
      tell({ kind: "answer", id, value: await abortedRequest(bot, given[0]) });
      return;
    }
    const value: unknown = typeof found === "function" ? await found.apply(owner, given) : found;
    tell({ kind: "answer", id, value });
  } catch (error) {
    const { name, message, kind } = Object(error) as Partial<RemoteError>;
    tell({ kind: "answer", id, error: { name: name ?? "", kind, message: message ?? String(error) } });
  }
}

async function onMessage(
  message: DispatchData<"MESSAGE_CREATE">,
  bot: Bot,
  { sequence, signal }: HandlerContext,
): Promise<void> {
  const { id, content } = message;
  tell({ kind: "handling", id, sequence });
  if (content === "throw") throw new Error("thrown by the handler");
  if (content === "stop") await bot.stop();
  if (content === "kill") process.kill(process.pid, "SIGKILL");
  if (content === "hold") {
    const { promise, resolve } = Promise.withResolvers<void>();
    held.set(id, resolve);
    signal.addEventListener("abort", () => tell({ kind: "aborted", id, sequence }));
    await promise;
  }
  tell({ kind: "handled", id, sequence });
}

/** GUILDS, GUILD_MEMBERS, GUILD_MESSAGES, DIRECT_MESSAGES and MESSAGE_CONTENT (events/gateway#list-of-intents). */
export const REMOTE_INTENTS = (1 << 0) | (1 << 1) | (1 << 9) | (1 << 12) | (1 << 15);

// A test that is killed must leave no bot behind.
process.on("disconnect", () => process.exit(1));

// No import of defineBot: a plain object is a definition.
export default {
  intents: Number(process.env["FACE_INTENTS"] ?? REMOTE_INTENTS),
  handlers: { MESSAGE_CREATE: onMessage },
  async start(bot: Bot): Promise<void> {
    process.on("message", (asked: Asked) => void answer(bot, asked));
    tell({ kind: "start", status: bot.status(), userId: bot.userId });
    const first = process.env["FACE_START"];
    if (first === "throw") throw new Error("thrown by start");
    if (first === "hang") await new Promise(() => {});
    if (first === "stop") await bot.stop();
    if (first === "presence") bot.setPresence({ status: "idle" });
    if (first === "request") await bot.rest.request({ method: "GET", path: "/users/@me" });
  },
  onDispatch(shard: number, sequence: number, type: string): void {
    tell({ kind: "dispatch", shard, sequence, type });
    if (process.env["FACE_DISPATCH"] === "throw") throw new Error("thrown by onDispatch");
  },
};
