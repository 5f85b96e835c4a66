// What became of every event: none of a session is lost, none is handled twice that did not have to be.

import type { StoredSession } from "../../../bot/ledger/ledger.ts";
import type { ProcessLife } from "./bot.ts";
import type { Timeline } from "./timeline.ts";
import type { Trace } from "./trace.ts";

interface Run {
  readonly life: ProcessLife;
  readonly startedAt: number;
  finishedAt: number | undefined;
}

interface Event {
  readonly session: string;
  readonly sequence: number;
  readonly publishedAt: number;
  readonly channel: string;
  readonly runs: Run[];
  /** Processes that took it in. */
  readonly heardBy: Set<ProcessLife>;
  poisoned: boolean;
}

export class Truth {
  readonly #timeline: Timeline;
  readonly #trace: Trace;
  readonly #events = new Map<string, Map<number, Event>>();
  /** What would count as a death's doing if a process ended now, as its last checkpoint has it. */
  readonly #standing = new Map<ProcessLife, ReadonlySet<Event>>();
  /** The last event of a channel that each process has started. */
  readonly #order = new Map<string, number>();

  constructor(timeline: Timeline, trace: Trace) {
    this.#timeline = timeline;
    this.#trace = trace;
  }

  begun(session: string): void {
    this.#events.set(session, new Map());
  }

  published(session: string, sequence: number, channel: string): void {
    const publishedAt = this.#timeline.now();
    const heardBy = new Set<ProcessLife>();
    const event = { session, sequence, publishedAt, channel, runs: [], heardBy, poisoned: false };
    this.#events.get(session)?.set(sequence, event);
  }

  heard(session: string, sequence: number, life: ProcessLife): void {
    const event = this.#events.get(session)?.get(sequence);
    if (event === undefined) return;
    if (event.heardBy.has(life)) this.#trace.broken(`${session}/${sequence} came through twice in one process`);
    event.heardBy.add(life);
  }

  /** A handler starts. @returns what to call when it has settled */
  started(session: string, sequence: number, life: ProcessLife): () => void {
    const event = this.#events.get(session)?.get(sequence);
    if (event === undefined) {
      this.#trace.broken(`${session}/${sequence} was never published`);
      return () => {};
    }
    this.#trace.note(`starts ${session}/${sequence}`);
    for (const { life: earlier, finishedAt } of event.runs) {
      if (earlier === life) this.#trace.broken(`${session}/${sequence} is handled twice in one process`);
      else if (finishedAt !== undefined && finishedAt < earlier.savedAt) {
        this.#trace.broken(`${session}/${sequence} is handled again though its end was saved`);
      } else if (finishedAt !== undefined && !earlier.mayForget) {
        this.#trace.broken(`${session}/${sequence} is handled again after an orderly end`);
      }
    }
    const deaths = this.#deaths(event);
    if (deaths > 1) this.#trace.broken(`${session}/${sequence} starts though ${deaths} deaths are on record`);
    const lane = `${life.number} ${session} ${event.channel}`;
    if ((this.#order.get(lane) ?? 0) >= sequence) this.#trace.broken(`${session}/${sequence} is out of order`);
    this.#order.set(lane, sequence);
    const run: Run = { life, startedAt: this.#timeline.now(), finishedAt: undefined };
    event.runs.push(run);
    return () => {
      run.finishedAt = this.#timeline.now();
      this.#trace.note(`finishes ${session}/${sequence}`);
    };
  }

  poisoned(session: string, sequence: number): void {
    const event = this.#events.get(session)?.get(sequence);
    if (event === undefined) return;
    event.poisoned = true;
    const deaths = this.#deaths(event);
    if (deaths < 2) this.#trace.broken(`${session}/${sequence} is poison after ${deaths} deaths`);
  }

  /** A checkpoint is in the ledger. @param before what the process found there when it started */
  saved(life: ProcessLife, sessions: readonly StoredSession[], before: readonly StoredSession[]): void {
    const standing = new Set<Event>();
    let ahead = 0;
    for (const { sessionId, unfinished } of sessions) {
      const known = before.find((session) => session.sessionId === sessionId)?.unfinished;
      for (const { sequence, deaths } of unfinished ?? []) {
        const event = this.#events.get(sessionId)?.get(sequence);
        const earlier = known?.find((one) => one.sequence === sequence)?.deaths ?? 0;
        if (event === undefined || deaths === earlier) continue;
        standing.add(event);
        if (!event.runs.some((run) => run.life === life)) ahead++;
        if (deaths !== earlier + 1)
          this.#trace.broken(`one death counts ${deaths - earlier} for ${sessionId}/${sequence}`);
      }
    }
    if (ahead > 1) this.#trace.broken(`${ahead} events that have not started are to take the blame for a death`);
    this.#standing.set(life, standing);
  }

  #deaths(event: Event): number {
    return [...this.#standing].filter(([life, standing]) => life.ended && standing.has(event)).length;
  }

  /** Its handler kills the process. After a death, what is replayed must have been written down before. */
  killed(session: string, sequence: number, life: ProcessLife): void {
    const event = this.#events.get(session)?.get(sequence);
    if (event === undefined || !life.wary || event.publishedAt > life.startedAt) return;
    // What was dropped is not replayed again.
    if (!life.fleet.sessions().some(({ sessionId }) => sessionId === session)) return;
    if (this.#standing.get(life)?.has(event) !== true) {
      this.#trace.broken(`${session}/${sequence} kills the next process, too, and nothing tells`);
    }
  }

  /** Once all is quiet: `reachable` sessions have lost nothing, and nothing that a living process took in was dropped. */
  settled(reachable: ReadonlySet<string>, life: ProcessLife): void {
    for (const [session, events] of this.#events) {
      for (const { sequence, runs, heardBy, poisoned } of events.values()) {
        const isDone = poisoned || runs.some(({ finishedAt }) => finishedAt !== undefined);
        if (isDone) continue;
        if (reachable.has(session)) this.#trace.broken(`${session}/${sequence} is lost`);
        else if (heardBy.has(life)) this.#trace.broken(`${session}/${sequence} was taken in and never handled`);
      }
    }
  }
}
