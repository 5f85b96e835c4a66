// Who may know whom: the rooms import each other only in the directions that the design allows.

import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

const root = path.resolve(import.meta.dirname, "../..");

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const IMPORT = /(?:^|\n)\s*(import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)/g;

function importsOf(file: string, source: string): Import[] {
  return [...source.matchAll(IMPORT)].flatMap((match) => {
    const specifier = match[3] ?? match[4];
    if (specifier === undefined) return [];
    const to = specifier.startsWith(".") ? path.posix.join(path.posix.dirname(file), specifier) : specifier;
    return [{ from: file, to, typeOnly: match[2] !== undefined }];
  });
}

// The peers of the benchmarks bring sources of their own.
const files = globSync("{bot,infra,shared,test}/**/*.ts", { cwd: root, exclude: ["**/node_modules/**"] });
const imports = files.flatMap((file) => importsOf(file, readFileSync(path.join(root, file), "utf8")));

/** The pure cores: input and `now` go in, effects come out. */
const PURE = [
  "shared/**",
  "bot/gateway/{session,heartbeat,outbox,presence,identify,closeCodes,positions,chain,lanes}*",
  "bot/rest/{bucket,change,edge,errors,getCache,governor,grouping,latency,limited,message,multipart,pace,queue,refusals,retry}.ts",
  "bot/rest/{requestProblem,retryAfterCheck,route,scheduler,verdict}.ts",
  "bot/ledger/{dealing,reshardPrice,settlingValues,shardPlan}.ts",
  "bot/resilience/**",
  "bot/telemetry/embeddedMetrics*",
  "bot/chat/{access,capacity,completion,conversations,decide,fairTurns,keyPool,notices,permissions,routes}.ts",
  "bot/chat/{sanitise,split,statusText}.ts",
];
const DRIVERS = /^(ws|undici|pino|node:(timers|net|http|https|tls|fs|zlib|child_process|worker_threads|perf_hooks).*)$/;
const CLOCKS = /\bDate\.now\(|\bMath\.random\(|\bsetTimeout\(|\bsetInterval\(|\bsetImmediate\(|\bperformance\.now\(/;

const within = (room: string) => (name: string) => name.startsWith(`${room}/`);
const breaking = (rule: (found: Import) => boolean): string[] =>
  imports.filter(rule).map(({ from, to }) => `${from} imports ${to}`);

describe("the rooms", () => {
  it("were found", () => {
    expect(files.filter(within("bot")).length).toBeGreaterThan(10);
    expect(imports.length).toBeGreaterThan(50);
  });

  it("shared imports nothing but itself", () => {
    expect(breaking(({ from, to }) => within("shared")(from) && !within("shared")(to))).toEqual([]);
  });

  it("bot and infra never meet", () => {
    expect(
      breaking(({ from, to }) => within("bot")(from) && (within("infra")(to) || to.startsWith("@pulumi/"))),
    ).toEqual([]);
    expect(breaking(({ from, to }) => within("infra")(from) && within("bot")(to))).toEqual([]);
  });

  it("nothing outside test imports test", () => {
    expect(breaking(({ from, to }) => !within("test")(from) && within("test")(to))).toEqual([]);
  });

  it("gateway and rest do not know each other, and chat knows neither", () => {
    expect(breaking(({ from, to }) => within("bot/gateway")(from) && within("bot/rest")(to))).toEqual([]);
    expect(breaking(({ from, to }) => within("bot/rest")(from) && within("bot/gateway")(to))).toEqual([]);
    expect(
      breaking(({ from, to }) => within("bot/chat")(from) && /^bot\/(gateway|rest|ledger|telemetry|runtime)/.test(to)),
    ).toEqual([]);
  });

  it("the simulated Discord takes no constant from the bot", () => {
    expect(
      breaking(
        ({ from, to }) =>
          within("test/discord")(from) && within("bot")(to) && to !== "bot/clock.ts" && !from.endsWith(".test.ts"),
      ),
    ).toEqual([]);
  });
});

describe("pure cores", () => {
  const pure = PURE.flatMap((pattern) => globSync(pattern, { cwd: root })).filter((file) => file.endsWith(".ts"));

  it("were found", () => {
    expect(pure.length).toBeGreaterThan(15);
  });

  it.each(pure)("%s does no I/O and takes time and chance as arguments", (file) => {
    const source = readFileSync(path.join(root, file), "utf8");
    const drivers = importsOf(file, source).filter(({ to, typeOnly }) => !typeOnly && DRIVERS.test(to));
    expect(drivers.map(({ to }) => to)).toEqual([]);
    expect(source.replaceAll(/\/\/.*|\/\*[\s\S]*?\*\//g, "")).not.toMatch(CLOCKS);
  });
});

describe("every source file", () => {
  it.each(files)("%s says what it is for in its first line", (file) => {
    expect(readFileSync(path.join(root, file), "utf8")).toMatch(/^(#!.*\n)?\/\/ [A-Z`]/);
  });
});
