// Drills on the bundled chat bot: a crowd, a model's provider that is spent or down, and an intent that is not granted.

import { allReplies, repliesIn } from "../../crowd.ts";
import { type Drill, MINUTE_MS } from "../drill.ts";
import type { World } from "../world.ts";

const MESSAGE_CONTENT = 1 << 15;
const FIRST_KEY = "hf_rehearsed_key_1";
const SECOND_KEY = "hf_rehearsed_key_2";
const stack = { secrets: { upstreamKeys: `${FIRST_KEY},${SECOND_KEY}` } } as const;
// Milliseconds in which a model writes a short answer.
const latencyMs = 700;
const discord = { guilds: 4, channelsPerGuild: 6 } as const;
// Hours turn some forty minutes after the start: what happens before takes ten at the most.
const startsAtMinute = 20;
const HOUR_MS = 60 * MINUTE_MS;
// A crowd's questions take a minute or two; a busy machine's clock runs on meanwhile.
const SETTLED_MS = 15 * MINUTE_MS;

/** Messages that the log says came to that end, and how often. */
const ended = ({ lines }: World, event: "chat.answered" | "chat.refused"): readonly string[] =>
  lines.filter((line) => line["event"] === event).map(({ message }) => String(message));

const refusedFor = ({ lines }: World, reason: string): number =>
  lines.filter((line) => line["event"] === "chat.refused" && line["reason"] === reason).length;

const no429 = ({ discord: { counts } }: World): readonly string[] => {
  const { user, global, shared } = counts.rest.limited;
  return user + global + shared === 0 ? [] : [`Discord answered with 429: ${JSON.stringify(counts.rest.limited)}`];
};

/** Each question of the crowd has one end; nothing else that it wrote has a reply, and a command has one. */
function eachOnce(world: World): readonly string[] {
  const { crowd } = world;
  const ends = new Map<string, number>();
  for (const event of ["chat.answered", "chat.refused"] as const) {
    for (const id of ended(world, event)) ends.set(id, (ends.get(id) ?? 0) + 1);
  }
  const unsettled = crowd.asked.filter(({ id }) => ends.get(id) !== 1);
  const replies = new Map<string, number>();
  for (const { to } of allReplies(world.discord)) replies.set(to, (replies.get(to) ?? 0) + 1);
  const answeredTwice = ended(world, "chat.answered").filter((id) => replies.get(id) !== 1);
  const broken = [...crowd.silent].filter((id) => replies.has(id));
  const ignored = crowd.commands.filter((id) => replies.get(id) !== 1);
  return [
    ...(unsettled.length === 0 ? [] : [`${unsettled.length} of ${crowd.asked.length} questions have not one end`]),
    ...(answeredTwice.length === 0 ? [] : [`${answeredTwice.length} answered questions have not one reply`]),
    ...(broken.length === 0 ? [] : [`${broken.length} messages that were not for the bot got a reply`]),
    ...(ignored.length === 0 ? [] : [`${ignored.length} of ${crowd.commands.length} commands have not one reply`]),
  ];
}

/** Answers follow one another as their questions did, channel by channel. */
function inOrder(world: World): readonly string[] {
  const answered = new Set(ended(world, "chat.answered"));
  return [...world.discord.world.channels.keys()].flatMap((channelId) => {
    const order = repliesIn(world.discord, channelId).flatMap(({ to }) => (answered.has(to) ? [BigInt(to)] : []));
    return order.every((id, place) => place === 0 || id > (order[place - 1] ?? 0n))
      ? []
      : [`${channelId}: out of order`];
  });
}

/** Answers that came after the first line of that event. */
function answersAfter({ lines }: World, event: string): number {
  const since = lines.findIndex((line) => line["event"] === event);
  return lines.slice(since).filter((line) => line["event"] === "chat.answered").length;
}

const goesOn =
  (event: string) =>
  (world: World): readonly string[] =>
    answersAfter(world, event) > 10 ? [] : [`the bot hardly answered after ${event}`];

const theHourTurns = (world: World): Promise<void> =>
  world.until(
    "the first key was used again",
    () =>
      world.lines.some(
        ({ event, to, reason }) => event === "upstream.key" && to === 1 && /turned/.test(String(reason)),
      ),
    HOUR_MS,
  );

export const CHAT_DRILLS: readonly Drill[] = [
  {
    name: "crowd burst",
    fault: "a thousand users write 400 messages at once: questions, emoji, GIFs, $ignore, a moderator's $status",
    quietMs: MINUTE_MS,
    // A busy machine must not make people wait for minutes of this clock.
    mostRate: 4,
    lastsMs: 3 * MINUTE_MS,
    stack,
    discord,
    upstream: { keys: [{ key: FIRST_KEY }], latencyMs },
    async inflict(world) {
      world.crowd.write(400);
      await world.until("each question had its end", () => eachOnce(world).length === 0, SETTLED_MS);
    },
    verify: (world) => [...eachOnce(world), ...inOrder(world), ...no429(world)],
    tell: (world) =>
      `${world.crowd.asked.length} questions of the crowd, ${refusedFor(world, "busy")} of them refused, the others answered`,
  },
  {
    name: "primary key exhausted",
    fault: "a crowd uses up the first key's hour",
    alarm: "UpstreamKeySpent",
    names: [
      { event: "upstream.key", fields: { from: 1, to: 2, reason: /429/, until: null } },
      { event: "upstream.key", fields: { from: 2, to: 1, reason: /turned/ } },
    ],
    quietMs: MINUTE_MS,
    startsAtMinute,
    stack,
    discord,
    upstream: { keys: [{ key: FIRST_KEY, requestsAnHour: 100 }, { key: SECOND_KEY }], latencyMs },
    inflict: ({ crowd }) => crowd.write(160),
    lift: theHourTurns,
    verify: (world) => [
      ...eachOnce(world),
      ...goesOn("upstream.key")(world),
      ...no429(world),
      ...(refusedFor(world, "exhausted") === 0
        ? []
        : ["somebody was told that the keys are spent, though one was left"]),
    ],
  },
  {
    name: "all keys exhausted",
    fault: "a crowd uses up the hour of every key",
    alarm: "UpstreamKeysExhausted",
    // The first key's end is news by itself, for whoever reads it in working hours.
    also: ["UpstreamKeySpent"],
    names: [
      { event: "upstream.key", fields: { from: 1, to: 2 } },
      { event: "upstream.key", fields: { from: 2, to: null, until: /^\d{4}-.*:00:00/ } },
      { event: "chat.refused", fields: { reason: "exhausted" } },
    ],
    quietMs: MINUTE_MS,
    startsAtMinute,
    stack,
    discord,
    upstream: {
      keys: [
        { key: FIRST_KEY, requestsAnHour: 100 },
        { key: SECOND_KEY, requestsAnHour: 60 },
      ],
      latencyMs,
    },
    inflict: ({ crowd }) => crowd.write(260),
    lift: theHourTurns,
    verify(world) {
      const channels = world.discord.world.channels.size;
      const notices = allReplies(world.discord).filter(({ content }) => content.includes("used up")).length;
      return [
        ...eachOnce(world),
        ...no429(world),
        ...(notices <= channels
          ? []
          : [`${notices} notices in ${channels} channels: one a channel and window is enough`]),
      ];
    },
    tell: (world) => `${refusedFor(world, "exhausted")} questions refused, each channel told once`,
  },
  {
    name: "upstream down",
    fault: "the model's provider answers 503 to everything",
    alarm: "UpstreamDown",
    names: [
      { event: "upstream.state", fields: { from: "closed", to: "open", error: /503/ } },
      { event: "chat.refused", fields: { reason: "down" } },
      { event: "upstream.state", fields: { from: "probing", to: "closed" } },
    ],
    quietMs: MINUTE_MS,
    stack,
    discord,
    upstream: { keys: [{ key: FIRST_KEY }, { key: SECOND_KEY }], latencyMs },
    inflict: ({ upstream }) => upstream?.fail({ kind: "status", status: 503, headers: {} }),
    lift: ({ upstream }) => upstream?.heal(),
    verify: (world) => [...goesOn("upstream.state")(world), ...no429(world)],
  },
  {
    name: "message content refused",
    fault: "the portal's switch for reading messages in CHAT_CHANNELS is turned off",
    alarm: "IntentDropped",
    names: [{ event: "intent.dropped", fields: { intent: "MESSAGE_CONTENT", fix: /Message Content Intent/ } }],
    quietMs: MINUTE_MS,
    // Some channel: what is asked for does not depend on which.
    stack: { config: { variables: '{"CHAT_CHANNELS":"100000000000000001"}' } },
    discord: { privilegedIntents: MESSAGE_CONTENT },
    exceptions: () => [
      {
        name: "LEDGER",
        value: "memory",
        why: "a ledger remembers the refusal for an hour, and a restart would not ask",
      },
    ],
    inflict({ discord: { faults } }) {
      faults.gateway.excuse("identify.disallowed-intents");
      faults.gateway.excuse("dial.after-fatal");
      faults.gateway.setPrivilegedIntents(0);
    },
    async lift(world) {
      world.discord.faults.gateway.setPrivilegedIntents(MESSAGE_CONTENT);
      await world.replaceBot();
    },
    verify(world) {
      const refusals = world.discord.counts.serverCloses[4014] ?? 0;
      return [
        ...goesOn("intent.dropped")(world),
        ...(refusals === 1 ? [] : [`Discord refused ${refusals} times; the bot asks once`]),
      ];
    },
  },
];
