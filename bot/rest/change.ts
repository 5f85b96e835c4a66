// What a gateway dispatch says about REST: whose answers may be others now, and where a refusal may no longer hold.

/** What one dispatch may have changed. Top-level resources are written as in `Route.major`. */
export interface Change {
  /** Resources whose GETs may answer otherwise from now on; "" is everything without a top-level resource. */
  readonly majors: readonly string[];
  /** Where something may exist, or be allowed, that did not or was not; undefined for events that change nothing there. */
  readonly reopens:
    | { readonly kind: "guild"; readonly guild: string }
    | { readonly kind: "member"; readonly guild: string; readonly user: string }
    | { readonly kind: "channel"; readonly channel: string }
    | undefined;
  /** A server and a channel of it, when the event names both. */
  readonly seen: { readonly guild: string; readonly channel: string } | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

const text = (fields: Fields, name: string): string | undefined => {
  const value = fields[name];
  return typeof value === "string" ? value : undefined;
};

/** Frequent, and about nothing that a GET returns. */
const SILENT = new Set(["PRESENCE_UPDATE", "TYPING_START", "INTERACTION_CREATE", "RESUMED"]);
/** About one channel's content, and neither about the channel nor about who may do what in it. */
const CONTENT = /^(?:MESSAGE_|CHANNEL_PINS_)/;
const ONE_MEMBER = /^(?:GUILD_MEMBER_(?:ADD|UPDATE|REMOVE)|GUILD_BAN_(?:ADD|REMOVE)|VOICE_STATE_UPDATE)$/;

/** Reads a dispatch (events/gateway-events#receive-events); undefined when it changes nothing that REST knows. */
export function changeOf(type: string, data: unknown): Change | undefined {
  if (SILENT.has(type) || typeof data !== "object" || data === null) return undefined;
  const fields = data as Fields;
  const channel = text(fields, "channel_id");
  const guild =
    text(fields, "guild_id") ?? (/^GUILD_(?:CREATE|UPDATE|DELETE)$/.test(type) ? text(fields, "id") : undefined);

  const seen = guild === undefined || channel === undefined ? undefined : { guild, channel };

  if (CONTENT.test(type)) {
    if (channel === undefined) return undefined;
    // Somebody who writes to the bot may be written to: a direct message has no server.
    const direct = type === "MESSAGE_CREATE" && guild === undefined;
    return { majors: [`channels/${channel}`], reopens: direct ? { kind: "channel", channel } : undefined, seen };
  }
  const ids = /^(?:CHANNEL|THREAD)_/.test(type) ? [text(fields, "id"), text(fields, "parent_id")] : [];
  const majors = [...ids, channel].filter((id) => id !== undefined).map((id) => `channels/${id}`);
  if (ids.length === 0) majors.push("");
  if (guild !== undefined) majors.push(`guilds/${guild}`);
  return { majors, reopens: guild === undefined ? undefined : reopened(type, guild, fields), seen };
}

function reopened(type: string, guild: string, fields: Fields): Change["reopens"] {
  if (!ONE_MEMBER.test(type)) return { kind: "guild", guild };
  const about = fields["user"];
  const user = typeof about === "object" && about !== null ? text(about as Fields, "id") : text(fields, "user_id");
  return user === undefined ? undefined : { kind: "member", guild, user };
}
