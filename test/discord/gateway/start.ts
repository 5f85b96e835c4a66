// What a new session hears: READY, then each server it has, or that it is in an outage (events/gateway-events#ready).

import { INTENT, shardOf } from "../protocol.ts";
import type { Session, ShardTuple } from "../rules/session.ts";
import { type Guild, guildObject, type World } from "../world.ts";
import type { Hub } from "./hub.ts";
import type { Identify } from "./payloads.ts";

export function guildsOfShard(world: World, shard: ShardTuple): Guild[] {
  return [...world.guilds.values()].filter((guild) => shardOf(guild.id, shard.count) === shard.id);
}

/** Application flags that tell the privileged intents (resources/application#application-object-application-flags). */
export function applicationFlags(privilegedIntents: number): number {
  const flags: [number, number][] = [
    [INTENT.guildPresences, 1 << 12],
    [INTENT.guildMembers, 1 << 14],
    [INTENT.messageContent, 1 << 18],
  ];
  return flags.reduce((all, [intent, flag]) => ((privilegedIntents & intent) === 0 ? all : all | flag), 0);
}

export function greetSession(hub: Hub, session: Session, identify: Identify): void {
  const guilds = guildsOfShard(hub.world, identify.shard);
  const ready = {
    v: 10,
    user: hub.botUser(),
    guilds: guilds.map(({ id }) => ({ id, unavailable: true })),
    session_id: session.identity.id,
    resume_gateway_url: hub.resumeUrl(),
    ...(identify.shardGiven ? { shard: [identify.shard.id, identify.shard.count] } : {}),
    application: { id: hub.world.applicationId, flags: applicationFlags(hub.privilegedIntents) },
    // Fields that the documentation does not name do come; a client has to pass over them.
    session_type: "normal",
    private_channels: [],
    relationships: [],
    user_settings: {},
    _trace: ['["simulated"]'],
  };
  hub.tell(session, "READY", JSON.stringify(ready));
  if ((session.identity.intents & INTENT.guilds) === 0) return;
  for (const guild of guilds) {
    if (guild.unavailable) hub.tell(session, "GUILD_DELETE", JSON.stringify({ id: guild.id, unavailable: true }));
    else hub.tell(session, "GUILD_CREATE", JSON.stringify(guildObject(guild, hub.world.bot)));
  }
}
