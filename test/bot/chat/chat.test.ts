// The course of a question: from a mention to a reply, with its words, its place, its order, and the model's limits.

import { afterEach, describe, expect, it } from "vitest";
import { type SimulatedUpstream, type SimulatedUpstreamOptions, startSimulatedUpstream } from "../../upstream/index.ts";
import { ASKER_ID, BOT_ID, CHANNEL_ID, chatBench, forbidden, GUILD_ID, type Run, until } from "./chatBench.ts";

const KEY = "hf_the_only_key_1";
const ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function plain(environment: Readonly<Record<string, string>> = {}) {
  const bench = chatBench();
  const run = await bench.run(environment);
  ends.push(() => run.end());
  return { ...bench, ...run, again: bench.run };
}

async function withModel(
  given: Partial<SimulatedUpstreamOptions> = {},
  environment: Readonly<Record<string, string>> = {},
) {
  const bench = chatBench();
  const provider: SimulatedUpstream = await startSimulatedUpstream({
    clock: bench.clock,
    keys: [{ key: KEY }],
    ...given,
  });
  ends.push(() => provider.stop());
  const run: Run = await bench.run({ UPSTREAM_URL: provider.url, UPSTREAM_KEYS: KEY, ...environment });
  ends.push(() => run.end());
  return { ...bench, ...run, provider };
}

describe("a thread of a channel in CHAT_CHANNELS", () => {
  const THREAD = "1700000000000000001";
  const thread = { id: THREAD, type: 11, guild_id: GUILD_ID, parent_id: CHANNEL_ID };
  const lookUps = ({ calls }: Pick<Run, "calls">): readonly string[] =>
    calls.filter(({ method, path }) => method === "GET" && path.startsWith("/channels/")).map(({ path }) => path);

  it.each<[string, string, unknown]>([
    ["just made", "THREAD_CREATE", thread],
    ["made active again", "THREAD_UPDATE", thread],
    ["that was there before", "GUILD_CREATE", { id: GUILD_ID, threads: [thread] }],
    ["that became visible", "THREAD_LIST_SYNC", { guild_id: GUILD_ID, threads: [thread] }],
  ])("%s needs no mention, and no look-up", async (_what, type, data) => {
    const run = await plain({ CHAT_CHANNELS: CHANNEL_ID });
    // Not waited for: the thread's first message may overtake the event's handler.
    const told = run.event(type, data);
    await run.write({ content: "hello", channel_id: THREAD, mentions: [] }).done;
    await told;
    expect(run.replies().map(({ channel }) => channel)).toEqual([THREAD]);
    expect(lookUps(run)).toEqual([]);
  });

  it.each([
    ["one of its threads", thread, 1],
    ["another channel's thread", { ...thread, parent_id: "1300000000000000009" }, 0],
    ["a channel with a category", { id: THREAD, type: 0, parent_id: CHANNEL_ID }, 0],
  ])("after a RESUME is asked for once: %s", async (_what, channel, answers) => {
    const run = await plain({ CHAT_CHANNELS: CHANNEL_ID });
    run.answers.set(`GET /channels/${THREAD}`, channel);
    for (let count = 0; count < 2; count++) {
      await run.write({ content: "hello", channel_id: THREAD, mentions: [] }).done;
    }
    expect(run.replies()).toHaveLength(2 * answers);
    expect(lookUps(run)).toEqual([`/channels/${THREAD}`]);
  });

  it("is no reason to ask for other channels of a server that is known, or where no channel is set", async () => {
    const known = await plain({ CHAT_CHANNELS: CHANNEL_ID });
    await known.event("GUILD_CREATE", { id: GUILD_ID, threads: [] });
    await known.write({ content: "hello", channel_id: "1300000000000000009", mentions: [] }).done;
    const unset = await plain();
    await unset.write({ content: "hello", mentions: [] }).done;
    for (const run of [known, unset]) {
      expect(run.replies()).toEqual([]);
      expect(lookUps(run)).toEqual([]);
    }
  });

  it("that cannot be looked up is asked for again with its next message", async () => {
    const run = await plain({ CHAT_CHANNELS: CHANNEL_ID });
    run.answers.set(`GET /channels/${THREAD}`, thread);
    let refused = true;
    run.refuse(({ method }) => method === "GET" && refused, forbidden());
    await run.write({ content: "hello", channel_id: THREAD, mentions: [] }).done;
    expect(run.replies()).toEqual([]);
    refused = false;
    await run.write({ content: "hello", channel_id: THREAD, mentions: [] }).done;
    expect(run.replies()).toHaveLength(1);
  });
});

describe("an answer", () => {
  it("is a reply to the very message, in its channel or thread, that pings nobody", async () => {
    const { write, replies } = await plain();
    const { id, done } = write({ content: `<@${BOT_ID}> hello 👋`, channel_id: "1300000000000000001" });
    await done;
    expect(replies()).toEqual([
      {
        channel: "1300000000000000001",
        content: expect.stringContaining('I heard you: "hello"'),
        nonce: `${id}.0`,
        body: expect.objectContaining({
          enforce_nonce: true,
          message_reference: { message_id: id, fail_if_not_exists: false },
          allowed_mentions: { parse: [], replied_user: false },
        }),
      },
    ]);
    expect(replies()[0]?.nonce.length).toBeLessThanOrEqual(25);
  });

  it("pings whoever asked where that is wanted, and still nobody else", async () => {
    const { write, replies } = await plain({ CHAT_PING: "on" });
    await write("hello @everyone").done;
    expect(replies()[0]?.body["allowed_mentions"]).toEqual({ parse: [], replied_user: true });
  });

  it("comes from the model, with what was said before by that person in that channel alone", async () => {
    const { write, replies, provider } = await withModel();
    const other = { id: "1500000000000000001" };
    await write("first question").done;
    await write({ content: "another's question", author: other }).done;
    await write({ content: "elsewhere", channel_id: "1300000000000000001" }).done;
    await write("second question").done;
    const said = provider.requests.map(({ messages }) => messages.slice(1).map(({ content }) => content));
    expect(said).toEqual([
      ["first question"],
      ["another's question"],
      ["elsewhere"],
      ["first question", "Answer to: first question", "second question"],
    ]);
    expect(provider.requests[0]?.messages[0]?.role).toBe("system");
    expect(replies().map(({ content }) => content)).toContain("Answer to: second question");
  });

  it("that is long comes in parts, each with a nonce of its own", async () => {
    const { write, replies, telemetry } = await withModel({ answer: () => "A sentence. ".repeat(400) });
    const { id, done } = write("tell me a lot");
    await done;
    expect(replies().map(({ nonce }) => nonce)).toEqual([`${id}.0`, `${id}.1`, `${id}.2`]);
    expect(replies().every(({ content }) => content.length <= 2_000)).toBe(true);
    expect(telemetry.named("chat.answered")).toMatchObject([{ message: id, chunks: 3, source: "model" }]);
  });

  it("of nothing is said in words", async () => {
    const { write, replies } = await withModel({ answer: () => " \n " });
    await write("say nothing").done;
    expect(replies().map(({ content }) => content)).toEqual(["I have nothing to say to that."]);
  });

  it("shows that the bot is thinking, again as long as it thinks, and not after", async () => {
    const { write, calls, clock, provider } = await withModel();
    provider.fail({ kind: "hang" });
    const typed = (): number => calls.filter(({ path }) => path === `/channels/${CHANNEL_ID}/typing`).length;
    const { done } = write("think");
    await until(() => provider.requests.length === 1);
    expect(typed()).toBe(1);
    for (let count = 0; count < 3; count++) await clock.advance(8_000);
    expect(typed()).toBe(4);
    // The attempt's deadline ends it.
    await clock.advance(6_000);
    await done;
    await clock.advance(30_000);
    expect(typed()).toBe(4);
  });

  it.each([
    ["an emoji", "👍"],
    ["a GIF", "https://tenor.com/view/cat-gif-1"],
    ["a bare mention", ""],
  ])("to %s costs no call", async (_what, words) => {
    const { write, replies, provider } = await withModel();
    await write(`<@${BOT_ID}> ${words}`).done;
    expect(provider.requests).toEqual([]);
    expect(replies().map(({ content }) => content)).toEqual(["You called? Ask me something in words."]);
  });

  it.each([
    ["nobody is asked", { content: "hello", mentions: [] }],
    ["the bot hears itself", { author: { id: BOT_ID }, content: "hello" }],
    ["a bot asks", { author: { id: "1500000000000000009", bot: true }, content: "hello" }],
    ["$ignore says so", { content: `<@${BOT_ID}> $ignore this` }],
  ])("is not given when %s", async (_what, message) => {
    const { write, calls } = await plain();
    await write(message).done;
    expect(calls).toEqual([]);
  });
});

describe("configured channels", () => {
  it("are answered without a mention", async () => {
    const { write, replies, logged } = await plain({ CHAT_CHANNELS: CHANNEL_ID });
    await write({ content: "hello", mentions: [] }).done;
    expect(replies()).toHaveLength(1);
    expect(logged.map(({ message }) => message).join()).toContain("Message Content Intent");
  });

  it("whose content is withheld are warned of once a day", async () => {
    const { write, calls, logged, clock } = await plain({ CHAT_CHANNELS: CHANNEL_ID });
    const warnings = (): number => logged.filter(({ level }) => level === "warn").length;
    for (let count = 0; count < 3; count++) await write({ content: "", mentions: [] }).done;
    expect(warnings()).toBe(1);
    await clock.advance(24 * 3_600_000);
    await write({ content: "", mentions: [] }).done;
    expect(warnings()).toBe(2);
    expect(calls).toEqual([]);
  });
});

describe("without an answer", () => {
  it("when all keys are spent: one notice a channel until they come back, and each question logged", async () => {
    const { write, replies, telemetry, clock } = await withModel({}, { UPSTREAM_QUOTAS: "1 requests/hour" });
    await write("one").done;
    const two = write("two");
    await two.done;
    await write("three").done;
    await write({ content: "four", channel_id: "1300000000000000001" }).done;
    const until = Date.UTC(2026, 2, 15, 13) / 1_000;
    expect(replies().map(({ channel, content }) => [channel, content])).toEqual([
      [CHANNEL_ID, "Answer to: one"],
      [CHANNEL_ID, `I have used up what I may ask for now. I am back <t:${until}:R>.`],
      ["1300000000000000001", `I have used up what I may ask for now. I am back <t:${until}:R>.`],
    ]);
    expect(replies()[1]?.nonce).toBe(`${two.id}.n`);
    expect(telemetry.named("chat.refused").map(({ reason }) => reason)).toEqual([
      "exhausted",
      "exhausted",
      "exhausted",
    ]);
    await clock.advance(51 * 60_000);
    await write("five").done;
    await write("six").done;
    expect(replies().at(-2)?.content).toBe("Answer to: five");
    expect(replies().at(-1)?.content).toContain("I am back");
  });

  it("when the model fails: said once a minute, logged each time, with words only if wanted", async () => {
    for (const content of ["off", "on"]) {
      const { write, replies, telemetry, provider } = await withModel({}, { CHAT_LOG_CONTENT: content });
      provider.fail({ kind: "status", status: 400, headers: {} });
      await write("a private question 👍").done;
      await write("another").done;
      expect(replies().map((sent) => sent.content)).toEqual(["I could not find an answer to that. Please try again."]);
      expect(telemetry.named("chat.failed")).toMatchObject([
        { stage: "model", channel: CHANNEL_ID, guild: GUILD_ID, input: content === "on" ? "a private question" : null },
        { stage: "model", answer: null },
      ]);
      expect(JSON.stringify(telemetry.events)).not.toContain(KEY);
    }
  });

  it("when a server floods: the others get their turn, and the flood is told", async () => {
    const atTheModel: string[] = [];
    const letGo: (() => void)[] = [];
    const { write, replies, telemetry } = await withModel({
      answer(messages) {
        const content = messages.at(-1)?.content ?? "";
        atTheModel.push(content);
        return new Promise((resolve) => letGo.push(() => resolve(content)));
      },
    });
    const flood = Array.from({ length: 40 }, (_, index) =>
      write({ content: `flood ${index}`, channel_id: String(1_300_000_000_000_000_100n + BigInt(index)) }),
    );
    const quiet = write({ content: "quiet", guild_id: "1200000000000000001", channel_id: "1300000000000000001" });
    // Eight at the model and 25 in line for one server; the rest is told at once.
    await until(() => telemetry.named("chat.refused").length === 40 - 8 - 25 && atTheModel.length === 8);
    expect(atTheModel).not.toContain("quiet");
    for (let count = 1; count <= 34; count++) {
      letGo.shift()?.();
      await until(() => atTheModel.length === Math.min(8 + count, 34));
      if (count === 2) expect(atTheModel).toContain("quiet");
    }
    await Promise.all([...flood.map(({ done }) => done), quiet.done]);
    expect(atTheModel).toHaveLength(34);
    expect(new Set(atTheModel).size).toBe(34);
    expect(replies().filter(({ content }) => content.includes("So many of you"))).toHaveLength(7);
  });

  it("where Discord does not let the bot write, until something changes there", async () => {
    const { write, calls, refuse, event, telemetry } = await plain();
    let denied = true;
    refuse((call) => denied && call.path === `/channels/${CHANNEL_ID}/messages`, forbidden());
    await write("one").done;
    await write("two").done;
    expect(calls).toHaveLength(1);
    expect(telemetry.named("chat.failed")).toMatchObject([{ stage: "send" }]);
    // The channel itself, or the one that this is a thread of.
    await event("CHANNEL_UPDATE", { id: "1300000000000000009", guild_id: GUILD_ID });
    await write("three").done;
    expect(calls).toHaveLength(2);
    denied = false;
    await event("GUILD_ROLE_UPDATE", { guild_id: GUILD_ID, role: {} });
    await write("four").done;
    expect(telemetry.named("chat.answered")).toHaveLength(1);
  });

  it("after two minutes in line: told, instead of answered when nobody looks", async () => {
    const { event, replies, clock, bot, provider } = await withModel();
    const message = {
      id: "1600000000000000777",
      type: 0,
      content: "late",
      channel_id: CHANNEL_ID,
      guild_id: GUILD_ID,
      author: { id: ASKER_ID },
      mentions: [{ id: BOT_ID }],
      attachments: [],
    };
    const { default: chatBot } = await import("../../../bot/chat/index.ts");
    chatBot.onDispatch?.(0, 1, "MESSAGE_CREATE", message);
    await clock.advance(121_000);
    const signal = new AbortController().signal;
    await chatBot.handlers?.MESSAGE_CREATE?.(message as never, bot, { shard: 0, sequence: 1, signal });
    expect(replies().map(({ content }) => content)).toEqual([expect.stringContaining("So many of you")]);
    expect(provider.requests).toEqual([]);
    expect(event).toBeDefined();
  });
});
