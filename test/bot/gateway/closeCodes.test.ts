// The close table, row by row, against Discord's documentation (topics/opcodes-and-status-codes).

import { describe, expect, it } from "vitest";
import { closeVerdict } from "../../../bot/gateway/closeCodes.ts";

const CONTEXT = { shard: 3, shardCount: 8, intents: 1 | 2 | 256, intentNames: ["GUILDS", "GUILD_MEMBERS"] as const };

describe("close codes", () => {
  it.each([
    [undefined, "resume"],
    [1000, "resume"],
    [1001, "resume"],
    [1005, "resume"],
    [1006, "resume"],
    [1012, "resume"],
    [4000, "resume"],
    [4001, "resume"],
    [4002, "resume"],
    [4003, "identify"],
    [4004, "fatal"],
    [4005, "resume"],
    [4006, "resume"],
    [4007, "identify"],
    [4008, "resume"],
    [4009, "identify"],
    [4010, "fatal"],
    [4011, "fatal"],
    [4012, "fatal"],
    [4013, "fatal"],
    [4014, "fatal"],
    [4900, "resume"],
  ])("%s: %s", (code, action) => {
    expect(closeVerdict(code, CONTEXT).action).toBe(action);
  });

  it("4008 pauses before the RESUME", () => {
    expect(closeVerdict(4008, CONTEXT)).toEqual({ action: "resume", pauseMs: 5_000 });
  });

  it("4014 names each privileged intent that is asked for, by name or bit, with its switch and page", () => {
    expect(closeVerdict(4014, CONTEXT)).toMatchObject({
      fix: expect.stringMatching(
        /GUILD_MEMBERS \("Server Members Intent"\), GUILD_PRESENCES \("Presence Intent"\) at https:\/\/discord\.com\/developers\/applications.*Privileged Gateway Intents/,
      ),
    });
  });

  it("4013 names the bits that Discord does not know", () => {
    expect(closeVerdict(4013, { ...CONTEXT, intents: 1 | (1 << 28) })).toMatchObject({
      fix: expect.stringContaining("268435456"),
    });
  });
});
