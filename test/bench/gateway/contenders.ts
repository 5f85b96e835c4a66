// The gateway clients side by side, behind one small face; each is loaded only in the process that runs it.

import { MODES, type Mode } from "./contexts.ts";

export interface Plan {
  readonly url: string;
  readonly shards: number;
  readonly mode: Mode;
  /** READY of one shard. */
  ready(): void;
  /** One dispatch after READY. */
  event(): void;
}

export type Client = (plan: Plan) => Promise<void> | void;

export interface Contender {
  readonly name: string;
  readonly peer: string | undefined;
  readonly modes: readonly Mode[];
  /** The name of what it is measured by; by default the first of all. */
  readonly beside?: string;
  /** Whether its idle shards are weighed: those of another column weigh the same. */
  readonly weighed: boolean;
  load(): Promise<Client>;
}

const AWAITING = "bare, asynchronous handlers";

/** The first is what all are measured by. */
export const CONTENDERS: readonly Contender[] = [
  {
    name: "bare",
    peer: undefined,
    modes: MODES,
    weighed: true,
    load: async () => (await import("./clients/bare.ts")).bare({ awaits: false }),
  },
  {
    name: AWAITING,
    peer: undefined,
    modes: MODES,
    weighed: false,
    load: async () => (await import("./clients/bare.ts")).bare({ awaits: true }),
  },
  {
    name: "Mooring",
    peer: undefined,
    modes: MODES,
    weighed: true,
    load: async () => (await import("./clients/mooring.ts")).mooring({ handlers: "none" }),
  },
  {
    name: "Mooring, handlers",
    peer: undefined,
    modes: MODES,
    weighed: false,
    load: async () => (await import("./clients/mooring.ts")).mooring({ handlers: "synchronous" }),
  },
  {
    name: "Mooring, asynchronous handlers",
    peer: undefined,
    modes: MODES,
    beside: AWAITING,
    weighed: false,
    load: async () => (await import("./clients/mooring.ts")).mooring({ handlers: "asynchronous" }),
  },
  {
    name: "@discordjs/ws",
    peer: "@discordjs/ws",
    modes: ["none", "zlib-stream"],
    weighed: true,
    load: async () => (await import("./clients/discordjs.ts")).discordjs,
  },
  {
    name: "@discordeno/gateway",
    peer: "@discordeno/gateway",
    modes: MODES,
    weighed: true,
    load: async () => (await import("./clients/discordeno.ts")).discordeno({ preferSnakeCase: false }),
  },
  {
    name: "@discordeno/gateway, snake case",
    peer: "@discordeno/gateway",
    modes: MODES,
    weighed: false,
    load: async () => (await import("./clients/discordeno.ts")).discordeno({ preferSnakeCase: true }),
  },
  {
    name: "oceanic.js",
    peer: "oceanic.js",
    modes: MODES,
    weighed: true,
    load: async () => (await import("./clients/oceanic.ts")).oceanic,
  },
];

export const TOKEN = "MTEwMDAwMDAwMDAwMDAwMDAwMQ.bench.not-a-token-of-anybody";
export const INTENTS = 33_281;
/** All shards at once: how fast they start is no matter here. */
export const CONCURRENCY = 1_000;
export const STARTS = 1_000_000;

/** What is dialled: the address with the mode's parameter. */
export const socketAddress = ({ url, mode }: Plan): string =>
  `${url}?v=10&encoding=json${mode === "none" ? "" : `&compress=${mode}`}`;
