// What became of every event: none of a session is lost, none is handled twice that did not have to be.

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
    const event = { session, sequence, channel, runs: [], heardBy: new Set<ProcessLife>(), poisoned: false };
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
    // After a standstill much happens in one instant: what ended in that of the save may have been seen running.
    const deaths = event.runs.filter(
      ({ life, startedAt, finishedAt }) =>
        life.ended && startedAt <= life.savedAt && (finishedAt ?? Number.POSITIVE_INFINITY) >= life.savedAt,
    );
    if (deaths.length < 2) this.#trace.broken(`${session}/${sequence} is poison after ${deaths.length} deaths`);
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
