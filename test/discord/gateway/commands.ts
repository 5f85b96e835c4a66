// What a live session may ask for: presence updates and member lists; the other ops are taken and need no answer.

import { OP } from "../protocol.ts";
import type { Session } from "../rules/session.ts";
import { SlidingWindow } from "../rules/slidingWindow.ts";
import type { Hub } from "./hub.ts";
import { answerMembersQuery } from "./members.ts";
import { isPresence } from "./payloads.ts";

/** events/gateway-events#activity-object */
const PRESENCES = 5;
const PRESENCES_MS = 20_000;

/** One session's commands, from READY or RESUMED on. */
export class Commands {
  readonly #hub: Hub;
  readonly #session: Session;
  readonly #presences = new SlidingWindow(PRESENCES, PRESENCES_MS);

  constructor(hub: Hub, session: Session) {
    this.#hub = hub;
    this.#session = session;
  }

  /** A string says what is malformed. */
  obey(op: number, data: unknown): string | undefined {
    if (op === OP.presenceUpdate) return this.#show(data);
    if (op !== OP.requestGuildMembers) return undefined;
    const problem = answerMembersQuery(this.#hub, this.#session, data);
    return problem === undefined ? undefined : `op 8 with a wrong ${problem}`;
  }

  #show(data: unknown): string | undefined {
    if (!isPresence(data)) return "a malformed presence";
    const { clock, journal, presences } = this.#hub;
    const shard = this.#session.identity.shard.id;
    journal.counts.presences++;
    // One too many is dropped in silence, not closed on.
    if (this.#presences.take(clock.now())) presences.set(shard, data);
    else journal.violate("send.presence", `shard ${shard}: the 6th within 20 s is dropped`);
    return undefined;
  }
}
