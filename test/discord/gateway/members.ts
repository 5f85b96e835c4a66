// Op 8: the members of one server in chunks, or RATE_LIMITED (events/gateway-events#request-guild-members).

import type { Session } from "../rules/session.ts";
import { type User, userObject } from "../world.ts";
import type { Hub } from "./hub.ts";
import { missingIntent, parseMembersQuery } from "./payloads.ts";

const CHUNK = 1_000;
const OPCODE = 8;

/** Answers on the session; a string says which field is malformed. */
export function answerMembersQuery(hub: Hub, session: Session, data: unknown): string | undefined {
  const query = parseMembersQuery(data);
  if (typeof query === "string") return query;
  const { guildId, nonce } = query;
  if (query.several) hub.journal.violate("send.members", "several servers in one request: only the first is served");
  const missing = missingIntent(query, session.identity.intents);
  if (missing !== undefined) {
    hub.journal.violate("send.members", `${missing} is not among the session's intents: nothing is answered`);
    return undefined;
  }
  const guild = hub.world.guilds.get(guildId);
  if (guild === undefined) return undefined;
  const waitMs = query.full ? hub.memberListWait(guildId) : 0;
  if (waitMs > 0) {
    hub.journal.violate("send.members", `server ${guildId}: ${Math.round(waitMs)} ms too early`);
    const meta = nonce === undefined ? { guild_id: guildId } : { guild_id: guildId, nonce };
    hub.tell(session, "RATE_LIMITED", JSON.stringify({ opcode: OPCODE, retry_after: waitMs / 1_000, meta }));
    return undefined;
  }
  const found = select([...guild.members.values()], query);
  const unknown = query.userIds?.filter((id) => !guild.members.has(id)) ?? [];
  const count = Math.max(1, Math.ceil(found.length / CHUNK));
  for (let index = 0; index < count; index++) {
    const members = found
      .slice(index * CHUNK, (index + 1) * CHUNK)
      .map((user) => ({ user: userObject(user), roles: [] }));
    const chunk = {
      guild_id: guildId,
      members,
      chunk_index: index,
      chunk_count: count,
      ...(unknown.length > 0 && index === count - 1 ? { not_found: unknown } : {}),
      ...(query.presences ? { presences: [] } : {}),
      ...(nonce === undefined ? {} : { nonce }),
    };
    hub.tell(session, "GUILD_MEMBERS_CHUNK", JSON.stringify(chunk));
  }
  return undefined;
}

function select(
  members: User[],
  query: { readonly userIds: readonly string[] | undefined; readonly query: string; readonly limit: number },
): User[] {
  const { userIds } = query;
  if (userIds !== undefined) return members.filter(({ id }) => userIds.includes(id));
  const matching = members.filter(({ username }) => username.toLowerCase().startsWith(query.query.toLowerCase()));
  return query.limit === 0 ? matching : matching.slice(0, query.limit);
}
