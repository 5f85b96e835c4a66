// Events that another process had begun when their shard came to this one: followed until it has finished them, or never will (pure).

/** What became of such an event. finished: drop it. run: it is this process's to run. */
export type Outcome = "finished" | "run";

/** What became of an event that another process had begun to handle; undefined: no process has it. */
export type Held = (sequence: number) => Promise<Outcome> | undefined;

export interface Crossing {
  /** @param decided runs once the other process has said what became of the event. */
  follow(shard: number, sequence: number, held: Promise<Outcome>, decided: (outcome: Outcome) => void): void;
  /** This process runs the event itself now. */
  begun(shard: number, sequence: number): void;
  /** Events of a shard, by sequence, that are neither finished over there nor begun here. */
  of(shard: number): ReadonlyMap<number, Promise<Outcome>>;
  forget(shard: number): void;
  /** Events of which the other process has not spoken yet. */
  readonly undecided: number;
}

const NONE: ReadonlyMap<number, Promise<Outcome>> = new Map();

export function createCrossing(): Crossing {
  // As many as handlers of one process run at once.
  const open = new Map<number, Map<number, Promise<Outcome>>>();
  let undecided = 0;
  return {
    follow(shard, sequence, held, decided) {
      const sequences = open.get(shard) ?? new Map<number, Promise<Outcome>>();
      open.set(shard, sequences.set(sequence, held));
      undecided++;
      void held.then((outcome) => {
        undecided--;
        if (outcome === "finished") sequences.delete(sequence);
        decided(outcome);
      });
    },
    begun: (shard, sequence) => void open.get(shard)?.delete(sequence),
    of: (shard) => open.get(shard) ?? NONE,
    forget: (shard) => void open.delete(shard),
    get undecided() {
      return undecided;
    },
  };
}
