// `npm run bench -- handoff`: the gap that a deploy leaves between the old task's last event and the new one's first.

import { setTimeout as milliseconds } from "node:timers/promises";
import { systemClock } from "../../../bot/clock.ts";
import { startTables } from "../../bot/ledger/table.ts";
import { startSimulatedDiscord } from "../../discord/index.ts";
import { tally } from "../../handover/tally.ts";
import { type BotProcess, startBot } from "../../rehearsal/botProcess.ts";

export interface HandoffOptions {
  readonly shardCounts: readonly number[];
  readonly deploys: number;
  progress(line: string): void;
}

interface Task {
  readonly process: BotProcess;
  /** When each message's handler started, ms since 1970. */
  readonly starts: { readonly id: string; readonly at: number }[];
  /** Resolves with the first line of that event. */
  event(name: string): Promise<void>;
}

// Random words in a token's shape, never issued.
const TOKEN = `${Buffer.from("1100000000000000000").toString("base64url")}.Gbench.handoff-not-a-token-abcdefghij`;
// On all shards together; a gap is seen to this many ms.
const SAY_EVERY_MS = 5;
// What a task needs to come to rest after it has taken over, and a replay to be through.
const SETTLE_MS = 600;

export async function handoffBenchmark({ shardCounts, deploys, progress }: HandoffOptions): Promise<string> {
  const rows = [
    "| shards | deploys | gap p50 ms | gap p99 ms | events | lost | doubled | IDENTIFYs spent |",
    "|---:|---:|---:|---:|---:|---:|---:|---:|",
  ];
  for (const shards of shardCounts) rows.push(await measure(shards, deploys, progress));
  return `${rows.join("\n")}\n`;
}

async function measure(shards: number, deploys: number, progress: (line: string) => void): Promise<string> {
  const clock = systemClock();
  const tables = await startTables();
  const table = await tables.create();
  const discord = await startSimulatedDiscord({ clock, token: TOKEN, shards, maxConcurrency: shards });
  const places = [...discord.world.guilds.values()].flatMap(({ id, ownerId, channels: [channel] }) =>
    channel === undefined ? [] : [{ guildId: id, channelId: channel.id, authorId: ownerId }],
  );
  const start = (): Task => {
    const starts: { readonly id: string; readonly at: number }[] = [];
    const seen = new Set<string>();
    const waiting = new Map<string, () => void>();
    const onLine = (text: string): void => {
      const line: Readonly<Record<string, unknown>> = JSON.parse(text);
      const { event, id, at } = line;
      if (typeof id === "string" && typeof at === "number") starts.push({ id, at });
      if (typeof event !== "string") return;
      seen.add(event);
      waiting.get(event)?.();
    };
    const environment = {
      ...tables.environment,
      PATH: process.env["PATH"] ?? "",
      DISCORD_TOKEN: TOKEN,
      DISCORD_API_URL: discord.apiUrl,
      DISCORD_GATEWAY_URL: discord.gatewayUrl,
      BOT_MODULE: "test/handover/counting.ts",
      STATUS_PORT: "0",
      LEDGER: `dynamodb:${table}`,
    };
    return {
      process: startBot({ clock, environment, stopTimeoutMs: 30_000, onLine }),
      starts,
      event: (name) =>
        new Promise((resolve) => {
          if (seen.has(name)) resolve();
          else waiting.set(name, resolve);
        }),
    };
  };

  const tasks = [start()];
  await tasks[0]?.event("bot.ready");
  const sent: string[] = [];
  let over = false;
  const traffic = (async () => {
    for (let count = 0; !over; count++) {
      const place = places[count % places.length];
      if (place !== undefined) sent.push(discord.sendMessage({ ...place, content: `message ${count}` }));
      await milliseconds(SAY_EVERY_MS);
    }
  })();
  const gaps: number[] = [];
  for (let deploy = 0; deploy < deploys; deploy++) {
    const [old, next] = [tasks.at(-1), start()];
    tasks.push(next);
    await next.event("bot.waiting");
    await milliseconds(SETTLE_MS);
    await old?.process.stop();
    await next.event("bot.ready");
    await milliseconds(SETTLE_MS);
    const last = Math.max(...(old?.starts ?? []).map(({ at }) => at));
    gaps.push(Math.min(...next.starts.map(({ at }) => at)) - last);
    progress(`${shards} shards, deploy ${deploy + 1}: ${gaps.at(-1)} ms`);
  }
  over = true;
  await traffic;
  await milliseconds(SETTLE_MS);
  await tasks.at(-1)?.process.stop();
  const { lost, doubled } = tally(
    sent,
    tasks.flatMap(({ starts }) => starts),
  );
  const spent = discord.counts.identifies - shards;
  await discord.stop();
  tables.close();
  const sorted = gaps.sort((one, other) => one - other);
  const quantile = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  const cells = [shards, deploys, quantile(0.5), quantile(0.99), sent.length, lost.length, doubled.length, spent];
  return `| ${cells.join(" | ")} |`;
}
