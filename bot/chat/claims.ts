// Who answers a question, kept in the ledger: claimed before the model is asked, its answer stored before it is sent.

import type { Cancel } from "../clock.ts";
import type { Bot } from "../defineBot.ts";

/** new: nobody has. stored: an earlier run had the answer, and sent so many chunks of it. over: nothing is left to do. */
export type Claim =
  | { readonly kind: "new" }
  | { readonly kind: "stored"; readonly chunks: readonly string[]; readonly sent: number }
  | { readonly kind: "over" };

type Kept =
  | { readonly state: "claimed"; readonly run: string }
  | {
      readonly state: "answered";
      readonly run: string;
      readonly at: number;
      readonly chunks: readonly string[];
      readonly sent: number;
    }
  | { readonly state: "done" };

export interface Claims {
  /** While a question is taken, this run's lease tells a successor that it is being worked on; `release` it in the end. */
  take(messageId: string, signal: AbortSignal): Promise<Claim>;
  release(messageId: string): void;
  /** From now on a successor sends these chunks and asks nobody. */
  store(messageId: string, chunks: readonly string[]): Promise<void>;
  /** So many chunks are out. */
  sent(messageId: string, chunks: readonly string[], sent: number): Promise<void>;
  finish(messageId: string): Promise<void>;
  /** Whether this is the first call for that key until then; without a ledger, within this process. */
  once(key: string, until: number): Promise<boolean>;
}

// A session can be resumed for minutes; what is older than this no replay brings.
const KEPT_MS = 15 * 60_000;
// Discord tells a repeated nonce for "a few minutes" (resources/message#create-message): later, an answer that may have
// been sent is not sent again.
const NONCE_MS = 2 * 60_000;
const LEASE_MS = 10_000;
const RENEW_MS = 3_000;
const LOOK_MS = 1_000;
const MOST_LOCAL = 10_000;

export function createClaims(bot: Pick<Bot, "clock" | "random" | "values" | "telemetry" | "log" | "signal">): Claims {
  const { clock, values, telemetry } = bot;
  const run = Array.from({ length: 4 }, () => Math.floor(bot.random() * 0x10000).toString(16)).join("-");
  const keyOf = (messageId: string): string => `question/${messageId}`;
  const leaseOf = (owner: string): string => `run/${owner}`;
  // What stands in for a ledger that cannot be reached, oldest first.
  const local = new Map<string, number>();

  const firstHere = (key: string): boolean => {
    const first = (local.get(key) ?? 0) <= clock.wall();
    local.set(key, clock.wall() + KEPT_MS);
    const [oldest] = local.keys();
    if (local.size > MOST_LOCAL && oldest !== undefined) local.delete(oldest);
    return first;
  };

  /** The work's result, or the stand-in's when the ledger fails. */
  const reaching = async <Result>(work: () => Promise<Result>, standIn: () => Result): Promise<Result> => {
    try {
      return await work();
    } catch (error) {
      telemetry.event("ledger.unreachable", { error: String(error) });
      return standIn();
    }
  };

  const write = (messageId: string, kept: Kept): Promise<void> => {
    const now = clock.wall();
    return reaching(
      () => values.write(keyOf(messageId), JSON.stringify(kept), now, now + KEPT_MS),
      () => {},
    );
  };

  const taken = new Set<string>();
  let leasedUntil = 0;
  let cancelRenewal: Cancel | undefined;

  const renew = async (): Promise<void> => {
    const now = clock.wall();
    await values.write(leaseOf(run), "", now, now + LEASE_MS);
    leasedUntil = now + LEASE_MS;
  };
  let renewing: Promise<void> | undefined;

  /** Makes the lease last for a while, and for as long as anything is taken; idle, it costs no write. */
  const lease = async (): Promise<void> => {
    if (leasedUntil - clock.wall() <= LEASE_MS - RENEW_MS) {
      // One write for all who come at once: side by side they would stand in each other's way.
      renewing ??= renew().finally(() => {
        renewing = undefined;
      });
      await renewing;
    }
    if (cancelRenewal !== undefined || bot.signal.aborted) return;
    cancelRenewal = clock.schedule(RENEW_MS, () => {
      cancelRenewal = undefined;
      if (taken.size > 0) void reaching(lease, () => {});
    });
  };
  bot.signal.addEventListener("abort", () => {
    cancelRenewal?.();
    values.remove(leaseOf(run)).catch(() => {});
  });

  /** Takes over what an ended run has left; of several successors one does. */
  const inherit = async (messageId: string, kept: Exclude<Kept, { state: "done" }>): Promise<Claim> => {
    const now = clock.wall();
    if (!(await values.claim(`heir/${messageId}/${kept.run}`, run, now, now + KEPT_MS))) return { kind: "over" };
    if (kept.state === "claimed") {
      await write(messageId, { state: "claimed", run });
      return { kind: "new" };
    }
    if (now - kept.at > NONCE_MS) {
      bot.log("warn", "an answer was stored too long ago to be sent without the risk of a second one", {
        message: messageId,
        sent: kept.sent,
        chunks: kept.chunks.length,
      });
      await write(messageId, { state: "done" });
      return { kind: "over" };
    }
    await write(messageId, { ...kept, run });
    return { kind: "stored", chunks: kept.chunks, sent: kept.sent };
  };

  const take = async (messageId: string, signal: AbortSignal): Promise<Claim> => {
    for (;;) {
      signal.throwIfAborted();
      const now = clock.wall();
      const mine: Kept = { state: "claimed", run };
      if (await values.claim(keyOf(messageId), JSON.stringify(mine), now, now + KEPT_MS)) return { kind: "new" };
      const kept = keptFrom(await values.read(keyOf(messageId), now));
      if (kept === undefined) {
        await values.remove(keyOf(messageId));
        continue;
      }
      // The same event twice in one run: the first one is at it.
      if (kept.state === "done" || kept.run === run) return { kind: "over" };
      if ((await values.read(leaseOf(kept.run), now)) === undefined) return inherit(messageId, kept);
      await clock.sleep(LOOK_MS, signal);
    }
  };

  return {
    async take(messageId, signal) {
      taken.add(messageId);
      try {
        await lease();
        const claim = await take(messageId, signal);
        firstHere(messageId);
        return claim;
      } catch (error) {
        signal.throwIfAborted();
        telemetry.event("ledger.unreachable", { error: String(error) });
        return firstHere(messageId) ? { kind: "new" } : { kind: "over" };
      }
    },
    release: (messageId) => void taken.delete(messageId),
    store: (messageId, chunks) => write(messageId, { state: "answered", run, at: clock.wall(), chunks, sent: 0 }),
    sent: (messageId, chunks, sent) => write(messageId, { state: "answered", run, at: clock.wall(), chunks, sent }),
    finish: (messageId) => write(messageId, { state: "done" }),
    once: (key, until) =>
      reaching(
        () => values.claim(key, run, clock.wall(), until),
        () => firstHere(key),
      ),
  };
}

function keptFrom(text: string | undefined): Kept | undefined {
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { state, run, at, chunks, sent } = value as Readonly<Record<string, unknown>>;
  if (state === "done") return { state };
  if (typeof run !== "string") return undefined;
  if (state === "claimed") return { state, run };
  const areTexts = Array.isArray(chunks) && chunks.every((chunk) => typeof chunk === "string");
  if (state !== "answered" || typeof at !== "number" || typeof sent !== "number" || !areTexts) return undefined;
  return { state, run, at, chunks, sent };
}
