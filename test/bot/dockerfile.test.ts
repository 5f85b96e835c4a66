// The image: what it is built from, what gets into it, and as whom it runs.

import { globSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import path from "node:path";
import { describe, expect, it } from "vitest";

const root = path.resolve(import.meta.dirname, "../..");
const text = (name: string): string => readFileSync(path.join(root, name), "utf8");
const manifest = JSON.parse(text("package.json"));
const lock = JSON.parse(text("package-lock.json"));

/** One instruction of a Dockerfile, continuation lines joined. */
const instructions = text("bot/Dockerfile")
  .replaceAll(/^\s*#.*\n/gm, "")
  .replaceAll(/\\\n/g, " ")
  .split("\n")
  .filter((line) => line.trim() !== "")
  .map((line) => {
    const [name = "", ...rest] = line.trim().split(/\s+/);
    return { name: name.toUpperCase(), value: rest.join(" ") };
  });
const stages = instructions.reduce<(typeof instructions)[]>((found, instruction) => {
  if (instruction.name === "FROM") found.push([]);
  found.at(-1)?.push(instruction);
  return found;
}, []);
const last = stages.at(-1) ?? [];
const values = (name: string, stage = last): string[] =>
  stage.filter((instruction) => instruction.name === name).map(({ value }) => value);

describe("the Dockerfile", () => {
  it("builds every stage from the Node version that development locks, in full", () => {
    const version = manifest.devDependencies.node;
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(text(".node-version").trim()).toBe(version);
    expect(stages).toHaveLength(2);
    for (const stage of stages) expect(values("FROM", stage)[0]).toMatch(`node:${version}-alpine`);
  });

  it("is the same for every architecture", () => {
    expect(text("bot/Dockerfile")).not.toMatch(/TARGET(ARCH|PLATFORM)|BUILDPLATFORM|--platform|amd64|arm64/i);
  });

  it("installs only what is locked for production, without install scripts", () => {
    const runs = stages.flatMap((stage) => values("RUN", stage));
    expect(runs).toHaveLength(1);
    expect(runs[0]).toMatch(/^npm ci (?=.*--omit=dev)(?=.*--ignore-scripts)/);
    const production = Object.entries<{ dev?: boolean; hasInstallScript?: boolean }>(lock.packages).filter(
      ([name, { dev }]) => name !== "" && dev !== true,
    );
    expect(production.length).toBeGreaterThan(3);
    expect(production.filter(([, { hasInstallScript }]) => hasInstallScript).map(([name]) => name)).toEqual([]);
  });

  it("copies the bot, the contract and the dependencies, nothing else, and only what the build context lets through", () => {
    const copied = values("COPY").map((value) =>
      value
        .replace(/^--from=\S+ /, "")
        .split(" ")
        .slice(0, -1),
    );
    expect(copied.flat().sort()).toEqual(["/app/node_modules", "bot", "package.json", "shared"]);
    const allowed = text(".dockerignore")
      .split("\n")
      .filter((line) => line.startsWith("!"))
      .map((line) => line.slice(1));
    const fromContext = stages
      .flatMap((stage) => values("COPY", stage))
      .filter((value) => !value.startsWith("--from="));
    for (const source of fromContext.flatMap((value) => value.split(" ").slice(0, -1)))
      expect(allowed).toContain(source);
  });

  it("has every package that the bot imports when it runs", () => {
    const imported = globSync("{bot,shared}/**/*.ts", { cwd: root }).flatMap((file) =>
      [...text(file).matchAll(/^(?:import|export)\s(?!type\s)[^;]*?from "([^."][^"]*)"/gm)].map(
        (match) => match[1] ?? "",
      ),
    );
    const packages = new Set(imported.filter((name) => !isBuiltin(name)));
    expect(packages.size).toBeGreaterThan(0);
    for (const name of packages) expect(Object.keys(manifest.dependencies)).toContain(name);
  });

  it("runs Node itself, as nobody special, writing nowhere, told to stop by SIGTERM", () => {
    expect(values("USER")).toEqual(["node"]);
    expect(values("STOPSIGNAL")).toEqual(["SIGTERM"]);
    expect(JSON.parse(values("CMD")[0] ?? "")).toEqual(["node", "bot/main.ts"]);
    for (const never of ["ENTRYPOINT", "RUN", "VOLUME", "ADD", "ARG"]) expect(values(never)).toEqual([]);
    expect(values("ENV").join(" ")).not.toMatch(/TOKEN|SECRET|KEY/i);
    const order = last.map(({ name }) => name);
    expect(order.lastIndexOf("COPY")).toBeLessThan(order.indexOf("USER"));
  });
});
