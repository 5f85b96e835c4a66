// A thousand users at once: every question answered once or refused once, in order, without a 429, also over a kill.

import { describe, expect } from "vitest";
import { type Asked, allReplies, createCrowd, type Reply, repliesIn } from "../../crowd.ts";
import type { SimulatedDiscord } from "../../discord/index.ts";
import { type FaceBot, promise, type World } from "../../face/world.ts";
import { type SimulatedUpstream, startSimulatedUpstream } from "../../upstream/index.ts";
import { startTables } from "../ledger/table.ts";

const KEY = "hf_the_only_key_1";
const SERVERS = 4;
const CHANNELS = 6;

const isNotice = ({ content }: Reply): boolean => /So many of you|used up/.test(content);

/** Answers of several messages that name question and call, so that parts of two answers can be told apart. */
function provider(clock: World["clock"], latencyMs: number): Promise<SimulatedUpstream> {
  let call = 0;
  return startSimulatedUpstream({
    clock,
    keys: [{ key: KEY }],
    latencyMs,
    answer(messages) {
      const number = /question-(\d+)/.exec(messages.at(-1)?.content ?? "")?.[1];
      const sentence = `Call ${++call} on question-${number} says so. `;
      return sentence.repeat(Number(number) % 3 === 0 ? 80 : 1).trim();
    },
  });
}

/** The numbers of question and call that a reply's sentences name. */
function namedIn(replies: readonly Reply[]): { readonly questions: Set<string>; readonly calls: Set<string> } {
  const text = replies.map(({ content }) => content).join(" ");
  const all = (pattern: RegExp): Set<string> => new Set([...text.matchAll(pattern)].map((match) => match[1] ?? ""));
  return { questions: all(/question-(\d+)/g), calls: all(/Call (\d+)/g) };
}

/** Holds each question's replies to: one whole answer, of one call, to that very question. */
function checkWhole({ number }: Asked, replies: readonly Reply[]): void {
  const { questions, calls } = namedIn(replies);
  expect([...questions], `question ${number}`).toEqual([String(number)]);
  expect(calls.size, `calls of question ${number}`).toBe(1);
  const sentences = replies.flatMap(({ content }) => content.match(/says so\./g) ?? []);
  expect(sentences.length, `sentences of question ${number}`).toBe(number % 3 === 0 ? 80 : 1);
}

function checkOrder(discord: SimulatedDiscord): void {
  for (const channelId of discord.world.channels.keys()) {
    const order = repliesIn(discord, channelId)
      .filter((reply) => !isNotice(reply))
      .map(({ to }) => BigInt(to));
    expect(order.every((id, index) => index === 0 || id >= (order[index - 1] ?? 0n))).toBe(true);
  }
}

const eventsOf = (bots: readonly FaceBot[], name: string): unknown[] =>
  bots.flatMap((bot) => bot.events(name).map((line) => line["message"]));

// Slower than its neighbours, since a busy machine must not make people wait for minutes of this clock.
const WORLD = { guilds: SERVERS, channelsPerGuild: CHANNELS, privilegedIntents: 0, rate: 8 };

describe("a crowd", () => {
  promise("is answered once or refused once, in order per channel, without a 429", WORLD, async (world) => {
    const { bot, clock, discord } = world;
    const upstream = await provider(clock, 700);
    try {
      const it = bot({ BOT_MODULE: "./bot/chat/index.ts", UPSTREAM_URL: upstream.url, UPSTREAM_KEYS: KEY });
      await it.event("bot.ready");
      const crowd = createCrowd(discord, 7);
      crowd.write(400);
      const settled = (): string[] =>
        [...eventsOf([it], "chat.answered"), ...eventsOf([it], "chat.refused")].map(String);
      await it.until("an end of each question", () => settled().length >= crowd.asked.length);
      await discord.waitFor(() => crowd.commands.every((id) => allReplies(discord).some(({ to }) => to === id)));
      expect(settled().sort()).toEqual(crowd.asked.map(({ id }) => id).sort());
      const answered = new Set(eventsOf([it], "chat.answered"));
      const replies = Map.groupBy(allReplies(discord), ({ to }) => to);
      for (const asked of crowd.asked) {
        const own = (replies.get(asked.id) ?? []).filter((reply) => !isNotice(reply));
        if (answered.has(asked.id)) checkWhole(asked, own);
        else expect(own).toEqual([]);
      }
      expect(answered.size).toBeGreaterThan(crowd.asked.length / 10);
      for (const id of crowd.silent) expect(replies.get(id)).toBeUndefined();
      for (const id of crowd.commands) expect(replies.get(id)).toHaveLength(1);
      checkOrder(discord);
      expect(discord.counts.rest.limited).toEqual({ user: 0, global: 0, shared: 0 });
      expect(
        upstream.requests.every(({ messages }) => !/\p{Emoji_Presentation}|<:|tenor/u.test(JSON.stringify(messages))),
      ).toBe(true);
    } finally {
      await upstream.stop();
    }
  });

  for (const ledger of ["file", "dynamodb"]) {
    promise(
      `loses no question, gets no second and no spliced answer when the process is killed, LEDGER=${ledger}`,
      // A lease of 10 s must outlast a busy machine's pauses.
      ledger === "dynamodb" ? { ...WORLD, rate: 4 } : WORLD,
      async (world) => {
        const { bot, clock, discord, home } = world;
        const tables = ledger === "dynamodb" ? await startTables() : undefined;
        const upstream = await provider(clock, 700);
        try {
          const environment = {
            BOT_MODULE: "./bot/chat/index.ts",
            UPSTREAM_URL: upstream.url,
            UPSTREAM_KEYS: KEY,
            LEDGER: tables === undefined ? `file:${home}` : `dynamodb:${await tables.create()}`,
            ...tables?.environment,
          };
          const crowd = createCrowd(discord, 11);
          let it = bot(environment);
          await it.event("bot.ready");
          const started = [it];
          const replied = (): Set<string> => new Set(allReplies(discord).map(({ to }) => to));
          // In the middle of it: with answers at the model, stored, and half sent. A question that meets both kills would
          // be taken for what killed the process, so each kill has its own.
          for (const share of [0.2, 0.5]) {
            const before = crowd.asked.length;
            crowd.write(tables === undefined ? 100 : 50);
            const fresh = crowd.asked.slice(before);
            const answered = (): number => {
              const all = replied();
              return fresh.filter(({ id }) => all.has(id)).length;
            };
            await discord.waitFor(() => answered() > fresh.length * share);
            it.kill("SIGKILL");
            await it.ended;
            it = bot(environment);
            started.push(it);
            await discord.waitFor(() => answered() === fresh.length);
          }
          // What is half sent comes to its end before the run does.
          it.kill("SIGTERM");
          expect(await it.ended).toBe(0);
          expect(started.flatMap((run) => run.events("session.resumed")).length).toBeGreaterThanOrEqual(2);
          const replies = Map.groupBy(allReplies(discord), ({ to }) => to);
          for (const asked of crowd.asked) {
            const own = replies.get(asked.id) ?? [];
            if (!own.every(isNotice)) checkWhole(asked, own);
          }
          for (const id of crowd.silent) expect(replies.get(id)).toBeUndefined();
          checkOrder(discord);
          expect(discord.counts.rest.limited).toEqual({ user: 0, global: 0, shared: 0 });
        } finally {
          await upstream.stop();
          tables?.close();
        }
      },
    );
  }
});
