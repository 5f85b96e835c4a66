// Made-up gateway traffic with the shapes, sizes and repetitions of the real one: about 1 KB an event, seeded.

/** Distinct events; more would only make the building longer, as a compression window holds a few hundred. */
const POOL = 4_096;

const WORDS =
  "the a to and of it you that is for on with was this have but not be are so just what like can do my if they your all get know time when up out one about good how them see now think really would want need back here people there because some make more did new why no yes ok lol thanks maybe tomorrow server channel update build deploy error works again today".split(
    " ",
  );

/** Mulberry32: the same events in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export interface Dispatch {
  readonly type: string;
  /** `d` as JSON. */
  readonly data: string;
}

export function makeDispatches(seed = 1): readonly Dispatch[] {
  const random = generator(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = <Value>(from: readonly Value[]): Value => {
    const found = from[below(from.length)];
    if (found === undefined) throw new Error("there is nothing to pick from");
    return found;
  };
  const snowflake = (): string => String(1_100_000_000_000_000_000n + BigInt(below(2 ** 50)));
  const hex = (length: number): string => Array.from({ length }, () => below(16).toString(16)).join("");
  const sentence = (words: number): string => Array.from({ length: words }, () => pick(WORDS)).join(" ");
  const some = <Value>(count: number, make: () => Value): Value[] => Array.from({ length: count }, make);

  const guilds = some(200, snowflake);
  const channels = some(1_000, snowflake);
  const roles = some(300, snowflake);
  const users = some(2_000, () => ({
    username: `${pick(WORDS)}_${hex(4)}`,
    public_flags: below(2) * 64,
    primary_guild: null,
    id: snowflake(),
    global_name: sentence(2),
    display_name_styles: null,
    discriminator: "0",
    collectibles: null,
    clan: null,
    avatar_decoration_data: null,
    avatar: hex(32),
  }));
  const user = () => pick(users);
  const time = (): string =>
    new Date(1_750_000_000_000 + below(10_000_000_000)).toISOString().replace("Z", "000+00:00");
  const member = () => ({
    roles: some(1 + below(4), () => pick(roles)),
    premium_since: null,
    pending: false,
    nick: below(2) === 0 ? null : sentence(2),
    mute: false,
    joined_at: time(),
    flags: 0,
    deaf: false,
    communication_disabled_until: null,
    banner: null,
    avatar: null,
  });
  const message = () => ({
    type: 0,
    tts: false,
    timestamp: time(),
    pinned: false,
    nonce: snowflake(),
    mentions: below(4) === 0 ? [{ ...user(), member: member() }] : [],
    mention_roles: [],
    mention_everyone: false,
    member: member(),
    id: snowflake(),
    flags: 0,
    embeds: [],
    edited_timestamp: null,
    content: sentence(4 + below(40)),
    components: [],
    channel_type: 0,
    channel_id: pick(channels),
    author: user(),
    attachments: [],
    guild_id: pick(guilds),
  });
  const makers: readonly (readonly [share: number, type: string, make: () => object])[] = [
    [0.65, "MESSAGE_CREATE", message],
    [0.8, "MESSAGE_UPDATE", () => ({ ...message(), edited_timestamp: time() })],
    [
      0.9,
      "GUILD_MEMBER_UPDATE",
      () => ({ ...member(), user: user(), guild_id: pick(guilds), unusual_dm_activity_until: null }),
    ],
    [
      1,
      "MESSAGE_REACTION_ADD",
      () => ({
        user_id: snowflake(),
        type: 0,
        message_id: snowflake(),
        message_author_id: snowflake(),
        member: { ...member(), user: user() },
        emoji: { name: "\u{1F44D}", id: null },
        channel_id: pick(channels),
        burst: false,
        guild_id: pick(guilds),
      }),
    ],
  ];
  return some(POOL, () => {
    const chance = random();
    const [, type, make] = makers.find(([share]) => chance < share) ?? ([1, "MESSAGE_CREATE", message] as const);
    return { type, data: JSON.stringify(make()) };
  });
}
