// What goes wrong: everything that networks, Discord and machines do to a gateway client, one entry each.

import type { ProcessLife, Surroundings } from "./bot.ts";
import type { Chance } from "./chance.ts";
import type { Discord } from "./discord.ts";
import { GENERIC_HOST, type Mood, type Peer, RESUME_HOSTS } from "./network.ts";

export interface Scene extends Surroundings {
  /** The process that runs, if one does. */
  life: ProcessLife | undefined;
  /** Processes so far. */
  lives: number;
  /** Ends the process and starts the next one after a while. */
  restart(how: "kill" | "terminate", afterMs: number): void;
}

export type Fault = (scene: Scene) => void;

/** Every code after which a client may come back, and none at all (topics/opcodes-and-status-codes). */
const CODES = [1000, 1001, 1006, undefined, 4000, 4001, 4002, 4003, 4005, 4007, 4008, 4009, 4242] as const;
const HOSTS = [GENERIC_HOST, ...RESUME_HOSTS] as const;

const peersOf = (discord: Discord, chance: Chance): Peer[] =>
  chance.some([...discord.peers], chance.pick([0.1, 0.5, 1]));

/** Something is said on a shard's channel. @param poison how it kills whoever handles it */
export function publish({ discord, chance, truth, shards }: Scene, poison?: { readonly killsAfterMs: number }): void {
  const session = discord.sessionOf(chance.whole(0, shards - 1));
  if (session === undefined) return;
  const channel = `channel-${session.shard}-${chance.whole(0, 2)}`;
  truth.published(session.id, session.sequence + 1, channel);
  discord.publish(session, "MESSAGE_CREATE", { channel_id: channel, session: session.id, ...poison });
}

/** Undone by itself after a while, and at the end of all faults. */
function forSome(scene: Scene, mostMs: number, undo: () => void): void {
  scene.timeline.schedule(scene.chance.random() * mostMs, undo);
}

function darken(scene: Scene, hosts: readonly string[], mood: Mood, mostMs: number): void {
  const { discord } = scene;
  for (const host of hosts) discord.moods.set(host, mood);
  forSome(scene, mostMs, () => {
    for (const host of hosts) discord.moods.delete(host);
  });
}

export const FAULTS: Readonly<Record<string, Fault>> = {
  resets: ({ discord, chance }) => {
    for (const peer of peersOf(discord, chance)) peer.end(undefined);
  },
  closes: ({ discord, chance }) => {
    const code = chance.pick(CODES);
    for (const peer of peersOf(discord, chance)) peer.end(chance.happens(0.5) ? code : chance.pick(CODES));
  },
  reconnects: ({ discord, chance, timeline }) => {
    for (const peer of peersOf(discord, chance)) {
      peer.send({ op: 7, d: null });
      // Discord closes by itself a while later.
      timeline.schedule(chance.between(0, 5_000), () => peer.end(1001));
    }
  },
  invalidates: ({ discord, chance }) => {
    for (const peer of peersOf(discord, chance)) {
      // In place of an answer to an IDENTIFY it comes by `identifiesHeld`.
      if (peer.phase !== "live") continue;
      const isResumable = chance.happens(0.5);
      if (!isResumable && peer.session !== undefined) discord.invalidate(peer.session);
      peer.send({ op: 9, d: isResumable });
    }
  },
  blackHoles: ({ discord, chance }) => {
    for (const peer of peersOf(discord, chance)) peer.deaf = true;
  },
  noAcknowledgements: ({ discord, chance }) => {
    for (const peer of peersOf(discord, chance)) {
      peer.acknowledges = chance.pick(["never", "late"]);
      peer.closesAfterMs = chance.pick([0, 3_000, undefined]);
    }
  },
  beatsAsked: ({ discord, chance }) => {
    for (const peer of peersOf(discord, chance))
      for (let ask = 0; ask < chance.whole(1, 3); ask++) peer.send({ op: 1, d: null });
  },
  neverClosing: ({ discord, chance }) => {
    for (const peer of peersOf(discord, chance)) peer.closesAfterMs = chance.pick([3_000, 30_000, undefined]);
  },
  heldUp: ({ discord, chance }) => {
    for (const peer of peersOf(discord, chance)) peer.hold(chance.between(0, 4_000));
  },
  slowNetwork: (scene) => {
    const { weather } = scene.discord;
    weather.mostLatencyMs = scene.chance.between(50, 1_200);
    forSome(scene, 300_000, () => {
      weather.mostLatencyMs = 4;
    });
  },
  oddGreetings: ({ discord, chance }) => {
    for (let odd = 0; odd < chance.whole(1, 6); odd++) {
      discord.greetings.push(chance.pick(["reconnect", "reconnectThenHello", "nothing"]));
    }
    for (const peer of peersOf(discord, chance)) peer.end(undefined);
  },
  replayCut: ({ discord, chance }) => {
    discord.replayCuts = chance.whole(1, 5);
    for (const peer of peersOf(discord, chance)) peer.end(undefined);
  },
  replayOverflow: (scene) => {
    scene.discord.replayLimit = scene.chance.whole(1, 5);
    forSome(scene, 60_000, () => {
      scene.discord.replayLimit = Number.POSITIVE_INFINITY;
    });
    for (const peer of peersOf(scene.discord, scene.chance)) peer.end(undefined);
  },
  expiry: ({ discord, chance }) => {
    for (const peer of peersOf(discord, chance)) {
      if (peer.session !== undefined) discord.invalidate(peer.session);
      peer.end(undefined);
    }
  },
  repeats: ({ discord, chance }) => {
    for (const peer of peersOf(discord, chance)) {
      for (const event of peer.session?.events.slice(-chance.whole(1, 3)) ?? []) peer.send({ op: 0, ...event });
    }
  },
  hostDown: (scene) => {
    const { chance } = scene;
    const hosts = chance.happens(0.5) ? [chance.pick(HOSTS)] : chance.some(RESUME_HOSTS, 0.6);
    darken(scene, hosts, chance.pick(["refuses", "blackHole", "silent", "ban"]), 180_000);
    const down: readonly string[] = hosts;
    for (const peer of scene.discord.peers) if (down.includes(peer.host) && chance.happens(0.5)) peer.end(undefined);
  },
  outage: (scene) => {
    darken(scene, HOSTS, scene.chance.pick(["refuses", "blackHole", "silent"]), scene.chance.pick([30_000, 300_000]));
    for (const peer of peersOf(scene.discord, scene.chance)) peer.end(undefined);
  },
  edgeBan: (scene) => {
    const { discord, chance } = scene;
    discord.banRetryAfterMs = chance.pick([undefined, 5_000, 60_000]);
    darken(scene, HOSTS, "ban", 120_000);
    for (const peer of peersOf(discord, chance)) peer.end(undefined);
  },
  identifiesHeld: (scene) => {
    scene.discord.identifies = scene.chance.pick(["held", "refused"]);
    forSome(scene, 60_000, () => {
      scene.discord.identifies = "answered";
    });
  },
  restDown: (scene) => {
    scene.rest = scene.chance.pick(["fails", "hangs"]);
    forSome(scene, 300_000, () => {
      scene.rest = "up";
    });
  },
  restBan: (scene) => {
    const until = scene.timeline.now() + scene.chance.between(1_000, 300_000);
    scene.rest = "banned";
    scene.restBannedUntil = until;
    scene.life?.setRestBan(until);
    scene.timeline.schedule(until - scene.timeline.now(), () => {
      if (scene.restBannedUntil !== until) return;
      scene.rest = "up";
      scene.restBannedUntil = undefined;
      scene.life?.setRestBan(undefined);
    });
  },
  ledgerFails: (scene) => {
    scene.ledgerFails = true;
    forSome(scene, 30_000, () => {
      scene.ledgerFails = false;
    });
  },
  stall: ({ life, chance }) => life?.clock.stall(chance.pick([3_000, 20_000, 100_000]) * chance.random()),
  presences: (scene) => {
    const { life, chance, timeline } = scene;
    const spreadMs = chance.pick([0, 5_000, 40_000]);
    for (let wish = 0; wish < 20; wish++) {
      const status = chance.pick(["online", "idle", "dnd"] as const);
      timeline.schedule(chance.random() * spreadMs, () => {
        if (life === undefined || scene.life !== life) return;
        life.wished = `${wish}`;
        life.fleet.setPresence({ status, activities: [{ name: life.wished, type: 0 }] });
      });
    }
  },
  requests: ({ life, discord, chance }) => {
    const most = chance.pick([10, 400]);
    for (let ask = 0; ask < most; ask++) {
      // Snowflakes count from bit 22, so guild n belongs to shard n % shards (events/gateway#sharding).
      const guildId = String(BigInt(ask % discord.options.shards) << 22n);
      if (life === undefined) return;
      life.membersAsked++;
      life.fleet
        .requestGuildMembers({ guildId, userIds: ["1"] })
        .catch(() => {})
        .finally(() => {
          life.membersAsked--;
        });
    }
  },
  poison: (scene) => {
    for (let event = scene.chance.whole(1, 3); event > 0; event--) {
      publish(scene, { killsAfterMs: scene.chance.pick([0, 20, 1_000, 20_000]) * scene.chance.random() });
    }
  },
  killed: (scene) => scene.restart("kill", scene.chance.pick([100, 5_000, 60_000]) * scene.chance.random()),
  deployed: (scene) => scene.restart("terminate", scene.chance.pick([100, 5_000, 60_000]) * scene.chance.random()),
};

/** All faults end: dead connections break, hosts are up, whoever waits for an answer is told to ask again. */
export function heal(scene: Scene): void {
  const { discord, life } = scene;
  discord.moods.clear();
  discord.greetings.length = 0;
  discord.identifies = "answered";
  discord.replayCuts = 0;
  discord.replayLimit = Number.POSITIVE_INFINITY;
  discord.weather.mostLatencyMs = 4;
  scene.rest = "up";
  scene.restBannedUntil = undefined;
  scene.ledgerFails = false;
  scene.poisonWorks = false;
  life?.setRestBan(undefined);
  discord.resetPending();
  for (const peer of [...discord.peers]) {
    peer.closesAfterMs = 0;
    if (peer.deaf || peer.acknowledges !== "promptly" || peer.phase !== "live") peer.end(undefined);
  }
}
