// The commands, whichever way they come: who may, what they do, and what is said about it.

import type { Bot } from "../defineBot.ts";
import type { Claims } from "./claims.ts";
import type { CommandName } from "./decide.ts";
import { COMMAND_FAILED, NOT_ALLOWED, NOT_OPERATOR, REBOOTED_LATELY, REBOOTING, STARTED, STOPPED } from "./notices.ts";
import { type Caller, mayUse } from "./rights.ts";

/** What is to be said, and what is to be done once it is. */
export interface CommandResult {
  readonly outcome: "done" | "refused" | "failed";
  /** undefined = nothing any more: this stranger was told lately. */
  readonly text: string | undefined;
  readonly after?: () => void;
}

export interface Commands {
  run(name: Exclude<CommandName, "ignore">, caller: Caller): Promise<CommandResult>;
  isStopped(guildId: string): Promise<boolean>;
}

// A stranger is told once; whoever tries again within the hour is not answered.
const REFUSAL_MS = 3_600_000;
const REBOOT_EVERY_MS = 600_000;
// "Until somebody says $start": ten years.
const FOREVER_MS = 3_650 * 86_400_000;
const MOST_SERVERS = 10_000;

export function createCommands(bot: Bot, claims: Claims, status: () => string): Commands {
  const { clock, values, telemetry } = bot;
  const keyOf = (guildId: string): string => `stopped/${guildId}`;
  // What the ledger said of a server last, for when it cannot be reached. Otherwise it is asked each time: the server may
  // have been another task's meanwhile.
  const stopped = new Map<string, boolean>();

  const know = (guildId: string, isStopped: boolean): void => {
    stopped.set(guildId, isStopped);
    const [oldest] = stopped.keys();
    if (stopped.size > MOST_SERVERS && oldest !== undefined) stopped.delete(oldest);
  };

  async function isStopped(guildId: string): Promise<boolean> {
    try {
      const found = (await values.read(keyOf(guildId), clock.wall())) !== undefined;
      know(guildId, found);
      return found;
    } catch (error) {
      telemetry.event("ledger.unreachable", { error: String(error) });
      return stopped.get(guildId) ?? false;
    }
  }

  async function act(name: Exclude<CommandName, "ignore">, { guildId, userId }: Caller): Promise<CommandResult> {
    const now = clock.wall();
    switch (name) {
      case "stop":
        await values.write(keyOf(guildId), userId, now, now + FOREVER_MS);
        know(guildId, true);
        return { outcome: "done", text: STOPPED };
      case "start":
        await values.remove(keyOf(guildId));
        know(guildId, false);
        return { outcome: "done", text: STARTED };
      case "status":
        return { outcome: "done", text: status() };
      case "reboot":
        if (!(await claims.once("reboot", now + REBOOT_EVERY_MS))) return { outcome: "refused", text: REBOOTED_LATELY };
        return { outcome: "done", text: REBOOTING, after: () => bot.restart() };
    }
  }

  async function decideAndAct(name: Exclude<CommandName, "ignore">, caller: Caller): Promise<CommandResult> {
    try {
      if (await mayUse(bot, name, caller)) return await act(name, caller);
    } catch (error) {
      bot.log("error", `$${name} failed`, { error, guild: caller.guildId, channel: caller.channelId });
      return { outcome: "failed", text: COMMAND_FAILED };
    }
    const told = `refused/${caller.guildId}/${caller.userId}`;
    const first = await claims.once(told, clock.wall() + REFUSAL_MS);
    const text = name === "reboot" ? NOT_OPERATOR : NOT_ALLOWED;
    return { outcome: "refused", text: first ? text : undefined };
  }

  return {
    isStopped,
    async run(name, caller) {
      const result = await decideAndAct(name, caller);
      const { guildId: guild, channelId: channel, userId: user } = caller;
      telemetry.event("chat.command", { command: name, guild, channel, user, outcome: result.outcome });
      return result;
    },
  };
}
