// How far one session's events have come: received by us, finished by their handlers, and what lies between (pure).

import type { StoredSession } from "../ledger/ledger.ts";

/**
 * Most finished events kept above the first unfinished one. Past it the oldest unfinished event is given up: it counts
 * as finished from then on, though its handler goes on, so a death loses that one event where a replay would repeat all
 * the others. It also keeps RESUME near the present, since Discord's replay buffer is finite (events/gateway#resuming).
 */
export const MOST_FINISHED_ABOVE = 10_000;

/** An event that this many processes died on is never started again. */
export const POISON_DEATHS = 2;

/** One unfinished event; `deaths` counts the processes that ended while its handler ran, or was just about to. */
export interface Unfinished {
  readonly sequence: number;
  readonly deaths: number;
}

/** What a checkpoint keeps of a session's progress; the lists are ascending. */
export interface Position {
  /** The last dispatch that arrived. */
  readonly received: number;
  /** The last dispatch up to which every handler has settled. */
  readonly finished: number;
  /** Dispatches above `finished` that are done; at most MOST_FINISHED_ABOVE. */
  readonly finishedAbove: readonly number[];
  /** Running dispatches, with this process's death counted in; and those that earlier processes died on. */
  readonly unfinished: readonly Unfinished[];
}

/**
 * What to do with an event that arrived. run: start its handler, then `settle`. repeat: it was here before, drop it.
 * poison: too many processes died on it, drop it; it counts as finished.
 */
export type Arrival =
  | { readonly kind: "run"; readonly deaths: number }
  | { readonly kind: "repeat" }
  | { readonly kind: "poison"; readonly deaths: number };

/** One session's progress. Sequences ascend, gaps are allowed, and each call but `position` takes constant time on average. */
export interface Positions {
  /** The last dispatch that arrived. */
  readonly received: number;
  /** An event arrived; anything but an ascending sequence is a repeat. */
  receive(sequence: number): Arrival;
  /** Its handler starts now, or as soon as that is written down: a death from now on counts. */
  start(sequence: number): void;
  /** Its handler has not started after all. */
  postpone(sequence: number): void;
  /** Its handler settled, or it will never run. Returns the events given up for the bound, usually none. */
  settle(sequence: number): readonly number[];
  position(): Position;
}

/** An event that was received and lies above `finished`. */
interface Received {
  readonly sequence: number;
  readonly deaths: number;
  state: "waiting" | "running" | "settled";
}

// What nearly every event gets, made once.
const RUN: Arrival = { kind: "run", deaths: 0 };
const REPEAT: Arrival = { kind: "repeat" };
const NONE: readonly number[] = [];

/** @param from the sequence before the session's first event, or a session that an earlier process left. */
export function openPositions(from: number | StoredSession): Positions {
  const stored = typeof from === "number" ? undefined : from;
  let received = typeof from === "number" ? from : from.sequence;
  let finished = received;
  // Left by an earlier process and not brought by the replay yet; ascending. What the replay passes over does not come.
  const done = new Set(stored?.finishedAbove?.toSorted((one, other) => one - other));
  const unfinishedThere = stored?.unfinished?.toSorted((one, other) => one.sequence - other.sequence) ?? [];
  const died = new Map(unfinishedThere.map(({ sequence, deaths }) => [sequence, deaths]));
  // All that was received after `finished`, in order; entries before `head` are spent. An array, since a Map that fills and
  // empties with every event is dear (see chain.ts).
  const arrived: Received[] = [];
  let head = 0;
  let open = 0;
  forgetUpTo(received, done);
  forgetUpTo(received, died);

  const advance = (): void => {
    for (let next = arrived[head]; next?.state === "settled"; next = arrived[head]) {
      finished = next.sequence;
      head++;
    }
    // The spent part is cut off rarely enough to cost nothing per event.
    if (head === arrived.length) arrived.length = 0;
    else if (head > MOST_FINISHED_ABOVE) arrived.splice(0, head);
    else return;
    head = 0;
  };

  /** The event, unless it has settled. Discord numbers without gaps, so it nearly always stands where it is looked for first. */
  const openEvent = (sequence: number): Received | undefined => {
    const first = arrived[head];
    if (first === undefined) return undefined;
    let found = arrived[head + sequence - first.sequence];
    if (found?.sequence !== sequence) {
      let low = head;
      let high = arrived.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if ((arrived[middle]?.sequence ?? sequence) < sequence) low = middle + 1;
        else high = middle;
      }
      found = arrived[low];
    }
    return found?.sequence === sequence && found.state !== "settled" ? found : undefined;
  };

  return {
    get received() {
      return received;
    },
    receive(sequence) {
      if (sequence <= received) return REPEAT;
      received = sequence;
      const deaths = died.get(sequence) ?? 0;
      const repeat = done.has(sequence);
      const runs = !repeat && deaths < POISON_DEATHS;
      if (done.size > 0) forgetUpTo(sequence, done);
      if (died.size > 0) forgetUpTo(sequence, died);
      arrived.push({ sequence, deaths, state: runs ? "waiting" : "settled" });
      if (runs) {
        open++;
        return deaths === 0 ? RUN : { kind: "run", deaths };
      }
      advance();
      return repeat ? REPEAT : { kind: "poison", deaths };
    },
    start(sequence) {
      const event = openEvent(sequence);
      if (event !== undefined) event.state = "running";
    },
    postpone(sequence) {
      const event = openEvent(sequence);
      if (event !== undefined) event.state = "waiting";
    },
    settle(sequence) {
      const event = openEvent(sequence);
      if (event === undefined) return NONE;
      event.state = "settled";
      open--;
      advance();
      if (arrived.length - head - open <= MOST_FINISHED_ABOVE) return NONE;
      const givenUp: number[] = [];
      while (arrived.length - head - open > MOST_FINISHED_ABOVE) {
        const oldest = arrived[head];
        if (oldest === undefined) break;
        givenUp.push(oldest.sequence);
        oldest.state = "settled";
        open--;
        advance();
      }
      return givenUp;
    },
    position() {
      const finishedAbove: number[] = [];
      const unfinished: Unfinished[] = [];
      for (const { sequence, deaths, state } of arrived.slice(head)) {
        if (state === "settled") finishedAbove.push(sequence);
        else if (state === "running") unfinished.push({ sequence, deaths: deaths + 1 });
        else if (deaths > 0) unfinished.push({ sequence, deaths });
      }
      finishedAbove.push(...done);
      for (const [sequence, deaths] of died) unfinished.push({ sequence, deaths });
      return { received, finished, finishedAbove, unfinished };
    },
  };
}

/** @param ascending its keys */
function forgetUpTo(sequence: number, ascending: Set<number> | Map<number, unknown>): void {
  for (const passed of ascending.keys()) {
    if (passed > sequence) break;
    ascending.delete(passed);
  }
}
