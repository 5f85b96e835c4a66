// The REST clients side by side, behind one small face; each is loaded only in the process that runs it.

/** Sends one request and resolves with the parsed body, or rejects. */
export type Send = (method: "GET" | "POST", path: string, body?: object) => Promise<unknown>;

export interface Setting {
  /** The origin, such as http://127.0.0.1:1234; the API is below /api/v10. */
  readonly origin: string;
  /** Whether the client's own count of the global limit must not hold it back, where it has one. */
  readonly unlimited: boolean;
}

export interface Contender {
  readonly name: string;
  readonly peer: string | undefined;
  /** Keeps no limits at all, so only raw speed can be compared. */
  readonly bare: boolean;
  load(): Promise<{ readonly open: (setting: Setting) => Promise<Send> }>;
}

/** The first is what all are measured by. */
export const CONTENDERS: readonly Contender[] = [
  { name: "undici Pool", peer: undefined, bare: true, load: () => import("./clients/bare.ts") },
  { name: "Mooring", peer: undefined, bare: false, load: () => import("./clients/mooring.ts") },
  { name: "@discordjs/rest", peer: "@discordjs/rest", bare: false, load: () => import("./clients/discordjs.ts") },
  { name: "@discordeno/rest", peer: "@discordeno/rest", bare: false, load: () => import("./clients/discordeno.ts") },
  { name: "oceanic.js", peer: "oceanic.js", bare: false, load: () => import("./clients/oceanic.ts") },
  { name: "eris", peer: "eris", bare: false, load: () => import("./clients/eris.ts") },
];

export const TOKEN = "MTEwMDAwMDAwMDAwMDAwMDAwMQ.bench.not-a-token-of-anybody";
