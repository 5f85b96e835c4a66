// The image's tag follows what Docker is sent, and nothing else.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { contentTag, contextFiles, parseAllowList } from "../../infra/imageContext.ts";
import { REPOSITORY_ROOT } from "./stackFile.ts";

const list = parseAllowList(readFileSync(join(REPOSITORY_ROOT, ".dockerignore"), "utf8"));

describe("contentTag", () => {
  let root = "";
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "mooring-context-"));
    for (const path of [".dockerignore", "package.json", "shared"]) {
      cpSync(join(REPOSITORY_ROOT, path), join(root, path), { recursive: true });
    }
    write("bot/main.ts", "1");
    write("bot/Dockerfile", "FROM scratch");
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function write(path: string, content: string): void {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }

  it("is a content hash and the architecture", () => {
    expect(contentTag(root, "arm64")).toMatch(/^[0-9a-f]{20}-arm64$/);
    expect(contentTag(root, "arm64")).toBe(contentTag(root, "arm64"));
  });

  it.each(["README.md", "test/bot/new.test.ts", "infra/index.ts", "Pulumi.dev.yaml", ".env", "bot/.env.local"])(
    "does not follow %s",
    (path) => {
      const before = contentTag(root, "arm64");
      write(path, "changed");
      expect(contentTag(root, "arm64")).toBe(before);
    },
  );

  it.each([
    "bot/main.ts",
    "bot/Dockerfile",
    "bot/gateway/new.ts",
    "shared/metrics.ts",
    "package.json",
    "package-lock.json",
    ".npmrc",
  ])("follows %s", (path) => {
    const before = contentTag(root, "arm64");
    write(path, "changed");
    expect(contentTag(root, "arm64")).not.toBe(before);
  });

  it("follows a file's name, the architecture and the build arguments", () => {
    write("bot/empty.ts", "");
    const before = contentTag(root, "arm64");
    rmSync(join(root, "bot/empty.ts"));
    write("bot/other.ts", "");
    expect(contentTag(root, "arm64")).not.toBe(before);
    expect(contentTag(root, "x86_64")).not.toBe(contentTag(root, "arm64"));
    expect(contentTag(root, "arm64", { BASE: "1" })).not.toBe(contentTag(root, "arm64"));
  });
});

describe("the repository's context", () => {
  it("holds the bot, the contract and the locked dependencies, and no secret or configuration", () => {
    const files = contextFiles(REPOSITORY_ROOT, list);
    expect(files).toEqual(
      expect.arrayContaining(["shared/environment.ts", "package.json", "package-lock.json", ".npmrc"]),
    );
    for (const file of files) {
      expect(file).toMatch(/^(bot\/|shared\/|package\.json$|package-lock\.json$|\.npmrc$)/);
      expect(file).not.toMatch(/\.env|Pulumi/);
    }
  });
});

describe("parseAllowList", () => {
  it.each(["", "node_modules", "*\nbot", "*\n!bot/*", "*\n**/.env*\n!bot", "*\n!../bot"])("refuses %j", (text) => {
    expect(() => parseAllowList(text)).toThrow(/allow-list/);
  });
});
