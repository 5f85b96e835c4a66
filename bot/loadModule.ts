// Finds and loads the bot module that BOT_MODULE names, and says what is wrong with it.

import { existsSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { Environment } from "../shared/environment.ts";
import { systemClock } from "./clock.ts";
import { type BotDefinition, definitionProblems, intentsOf, isBotDefinition } from "./defineBot.ts";

// Node itself would give up an unfinished top level without a word of its own to stdout; nothing healthy takes this long.
const LOAD_DEADLINE_MS = 20_000;

const PACKAGE_ROOT = path.resolve(import.meta.dirname, "..");

export type LoadedModule =
  | {
      readonly ok: true;
      readonly definition: BotDefinition;
      /** The bits that it asks for with these settings; 0 where they are not known. */
      readonly intents: number;
      readonly file: string;
    }
  | { readonly ok: false; readonly problem: string; readonly cause?: unknown };

/**
 * Imports a bot module. A relative path is looked for from the working directory first, then from the package, so that
 * the default works from wherever the process was started.
 * @param environment undefined when the settings themselves are wrong
 */
export async function loadBotModule(given: string, environment: Environment | undefined): Promise<LoadedModule> {
  const candidates = [path.resolve(given), path.resolve(PACKAGE_ROOT, given)];
  const file = candidates.find((candidate) => existsSync(candidate));
  if (file === undefined)
    return { ok: false, problem: `is "${given}"; there is no such file, give a path to a module` };
  const loaded = new AbortController();
  const late = systemClock()
    .sleep(LOAD_DEADLINE_MS, loaded.signal)
    .then(() => {
      throw new Error(`its top level has not finished within ${LOAD_DEADLINE_MS} ms; do such work in \`start\``);
    });
  // Only the race below is of interest.
  late.catch(() => {});
  let exported: unknown;
  try {
    exported = await Promise.race([import(pathToFileURL(file).href), late]);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return { ok: false, problem: `is "${given}"; loading it failed: ${reason}`, cause };
  } finally {
    loaded.abort();
  }
  try {
    const definition = typeof exported === "object" && exported !== null ? Reflect.get(exported, "default") : undefined;
    if (!isBotDefinition(definition)) {
      return { ok: false, problem: `is "${given}"; it ${definitionProblems(definition).join("; it ")}` };
    }
    const intents = environment === undefined ? 0 : intentsOf(definition, environment);
    return { ok: true, definition, intents, file };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return { ok: false, problem: `is "${given}"; reading what it exports failed: ${reason}`, cause };
  }
}
