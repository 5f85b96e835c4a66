// The ledger in a directory: its files as promised, whole after any crash, and what it does with ones that are not its own.

import { spawn } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { createFileLedger } from "../../../bot/ledger/file.ts";
import type { Ledger } from "../../../bot/ledger/ledger.ts";
import { conforms, refusal, session } from "./conformance.ts";

const root = mkdtempSync(path.join(tmpdir(), "mooring-ledger-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let directories = 0;
const freshDirectory = (): string => path.join(root, `${directories++}`, "deep");
const open = (directory = freshDirectory()): Ledger => createFileLedger(directory);
const mode = (name: string): number => statSync(name).mode & 0o777;

describe("the file ledger", () => {
  conforms(open);

  it("keeps everything for the next process", async () => {
    const directory = freshDirectory();
    const before = open(directory);
    expect(before.persistent).toBe(true);
    await before.writeSessions([session()]);
    await before.recordStart(7);
    await before.writeRefusal(refusal);
    const after = open(directory);
    expect(await after.readSessions()).toEqual([session()]);
    expect(await after.readStarts()).toEqual([7]);
    expect(await after.readRefusal()).toEqual(refusal);
  });

  it("keeps values for the next process, for the owner alone, and clears away what has expired", async () => {
    const directory = freshDirectory();
    await open(directory).values.write("kept", "1", 0, 1_000);
    await open(directory).values.write("over", "2", 0, 500);
    const after = open(directory).values;
    expect(await after.read("kept", 1)).toBe("1");
    expect(await after.claim("kept", "3", 1, 2_000)).toBe(false);
    await after.write("new", "4", 600, 1_000);
    const home = path.join(directory, "values");
    const files = readdirSync(home);
    expect(files.map((name) => JSON.parse(readFileSync(path.join(home, name), "utf8")).key).sort()).toEqual([
      "kept",
      "new",
    ]);
    expect(files.map((name) => mode(path.join(home, name)))).toEqual([0o600, 0o600]);
    expect(mode(home)).toBe(0o700);
  });

  it("writes sessions.json as promised: names, order, one JSON array, for the owner alone, nothing left beside it", async () => {
    const directory = freshDirectory();
    const ledger = open(directory);
    await ledger.writeSessions([session()]);
    const text = readFileSync(path.join(directory, "sessions.json"), "utf8");
    expect(text).toBe(
      '[{"shard":0,"shardCount":4,"sessionId":"0123456789abcdef0123456789abcdef",' +
        '"resumeGatewayUrl":"wss://gateway-us-east1-c.discord.gg","sequence":42,"intents":513,' +
        '"tokenHash":"0123456789abcdef","writtenAt":1750000000000}]\n',
    );
    await ledger.recordStart(1);
    await ledger.writeRefusal(refusal);
    expect(readdirSync(directory).sort()).toEqual(["refusal.json", "sessions.json", "starts.json"]);
    expect(readdirSync(directory).map((name) => mode(path.join(directory, name)))).toEqual([0o600, 0o600, 0o600]);
    expect(mode(directory)).toBe(0o700);
  });

  it("reads a file with names that a later version added", async () => {
    const directory = freshDirectory();
    mkdirSync(directory, { recursive: true });
    writeFileSync(path.join(directory, "sessions.json"), JSON.stringify([{ ...session(), region: "us-east1" }]));
    expect(await open(directory).readSessions()).toEqual([session()]);
  });

  it("touches nothing by reading", async () => {
    const directory = freshDirectory();
    await open(directory).readSessions();
    expect(existsSync(directory)).toBe(false);
  });

  it("keeps writers apart that opened one directory each for itself", async () => {
    const directory = freshDirectory();
    const writers = Array.from({ length: 8 }, (_, index) => ({ ledger: open(directory), at: ((index * 5) % 8) + 1 }));
    await Promise.all(
      writers.flatMap(({ ledger, at }) => [
        ledger.writeSessions([session({ sequence: at, writtenAt: at })]),
        ledger.recordStart(at),
      ]),
    );
    expect(await open(directory).readSessions()).toEqual([session({ sequence: 8, writtenAt: 8 })]);
    expect(await open(directory).readStarts()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it("never changes a file that somebody is reading: it puts a new one in its place", async () => {
    const directory = freshDirectory();
    const ledger = open(directory);
    await ledger.writeSessions([session({ sequence: 1 })]);
    const reader = openSync(path.join(directory, "sessions.json"), "r");
    await ledger.writeSessions([session({ sequence: 2 })]);
    expect(JSON.parse(readFileSync(reader, "utf8"))).toEqual([session({ sequence: 1 })]);
    closeSync(reader);
  });

  it("has a whole file after every kill in the middle of writing", async () => {
    const directory = freshDirectory();
    const program = `
      import { openLedger } from "./bot/ledger/open.ts";
      const ledger = await openLedger({ kind: "file", directory: process.env.DIRECTORY });
      const base = ${JSON.stringify(session())};
      const kept = await ledger.readSessions();
      for (let sequence = kept[0]?.sequence ?? 0; ; sequence++) {
        const finishedAbove = Array.from({ length: 2000 }, (_, index) => sequence + 2 + index);
        await ledger.writeSessions([{ ...base, sequence, finishedAbove, writtenAt: base.writtenAt + sequence }]);
        console.log(sequence);
      }
    `;
    let last = 0;
    for (let round = 0; round < 4; round++) {
      const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", program], {
        cwd: path.resolve(import.meta.dirname, "../../.."),
        env: { ...process.env, DIRECTORY: directory },
        stdio: ["ignore", "pipe", "inherit"],
      });
      let told = "";
      await new Promise<void>((resolve) => {
        child.stdout.on("data", (text) => {
          told += text;
          if (told.split("\n").length > 20 + round) child.kill("SIGKILL");
        });
        child.on("close", () => resolve());
      });
      const acknowledged = Number(told.slice(0, told.lastIndexOf("\n")).split("\n").at(-1));
      const [kept] = await open(directory).readSessions();
      expect(kept?.finishedAbove).toHaveLength(2_000);
      expect(kept?.sequence).toBeGreaterThanOrEqual(acknowledged);
      expect(acknowledged).toBeGreaterThan(last);
      last = acknowledged;
    }
  });
});

describe("a file that is not ours or broken", () => {
  const contents: [string, string][] = [
    ["empty", ""],
    ["cut in the middle", JSON.stringify([session()]).slice(0, 80)],
    ["of zeros", "\0".repeat(100)],
    ["an object", '{"version":2}'],
    ["a list of something else", '["a"]'],
    ["without a field", JSON.stringify([{ ...session(), sessionId: undefined }])],
    ["with a field of another type", JSON.stringify([{ ...session(), sequence: "42" }])],
    ["with an address that is none", JSON.stringify([session({ resumeGatewayUrl: "gateway" })])],
  ];

  it.each(contents)("is set aside, reported once, and not in the way: %s", async (_what, text) => {
    const directory = freshDirectory();
    mkdirSync(directory, { recursive: true });
    writeFileSync(path.join(directory, "sessions.json"), text);
    const ledger = open(directory);
    await expect(ledger.readSessions()).rejects.toMatchObject({
      name: "LedgerError",
      kind: "damaged",
      message: expect.stringMatching(/sessions\.json\.damaged-[0-9a-f]{8} /),
    });
    const [aside = ""] = readdirSync(directory);
    expect(readFileSync(path.join(directory, aside), "utf8")).toBe(text);
    expect(await ledger.readSessions()).toEqual([]);
    await ledger.writeSessions([session()]);
    expect(await ledger.readSessions()).toEqual([session()]);
    expect(readdirSync(directory)).toHaveLength(2);
  });

  it.each([
    ["sessions.json", (ledger: Ledger) => ledger.writeSessions([session()])],
    ["starts.json", (ledger: Ledger) => ledger.recordStart(5)],
    ["refusal.json", (ledger: Ledger) => ledger.writeRefusal(refusal)],
  ])("costs no write: %s", async (name, write) => {
    const directory = freshDirectory();
    mkdirSync(directory, { recursive: true });
    writeFileSync(path.join(directory, name), "{");
    const ledger = open(directory);
    await expect(write(ledger)).rejects.toMatchObject({ kind: "damaged" });
    expect(JSON.parse(readFileSync(path.join(directory, name), "utf8"))).toBeTruthy();
    await write(ledger);
  });
});

describe("a place that refuses", () => {
  it("is named with the fix: a file where the directory should be", async () => {
    const directory = freshDirectory();
    mkdirSync(path.dirname(directory), { recursive: true });
    writeFileSync(directory, "");
    const wanted = { kind: "unreadable", message: expect.stringContaining("name a directory in LEDGER=file:DIR") };
    await expect(open(directory).readSessions()).rejects.toMatchObject(wanted);
    await expect(open(directory).writeSessions([session()])).rejects.toMatchObject(wanted);
  });

  it.runIf(existsSync("/proc/self"))("is named with the fix: a place that takes no directories", async () => {
    const error = await open("/proc/mooring")
      .recordStart(1)
      .catch((refused: unknown) => refused);
    expect(error).toMatchObject({ kind: "unwritable", message: expect.stringMatching(/ENOENT.*name a directory/) });
  });

  it("is named with the fix: a directory where the file should be", async () => {
    const directory = freshDirectory();
    mkdirSync(path.join(directory, "sessions.json"), { recursive: true });
    await expect(open(directory).readSessions()).rejects.toMatchObject({
      kind: "unreadable",
      message: expect.stringContaining("move the directory of that name away"),
    });
  });

  // Root may write anywhere, so there the rights refuse nothing.
  it.skipIf(process.getuid?.() === 0)("is named with the fix: a directory that may not be written", async () => {
    const directory = freshDirectory();
    mkdirSync(directory, { recursive: true });
    chmodSync(directory, 0o500);
    await expect(open(directory).recordStart(1)).rejects.toMatchObject({
      kind: "unwritable",
      message: expect.stringContaining("the right to read and write"),
    });
    chmodSync(directory, 0o700);
  });

  it("works again once the place does", async () => {
    const directory = freshDirectory();
    mkdirSync(path.dirname(directory), { recursive: true });
    writeFileSync(directory, "");
    const ledger = open(directory);
    await expect(ledger.writeSessions([session()])).rejects.toThrow();
    rmSync(directory);
    await ledger.writeSessions([session()]);
    expect(await ledger.readSessions()).toEqual([session()]);
  });
});
