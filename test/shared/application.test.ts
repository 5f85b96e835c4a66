// The bundled bot's intents and permissions, held against Discord's own type package.

import { GatewayIntentBits, PermissionFlagsBits } from "discord-api-types/v10";
import { describe, expect, it } from "vitest";
import { APPLICATION, INTENTS, intentBits, intentNames, inviteUrl, PERMISSIONS } from "../../shared/application.ts";
import { METRICS, metricNames } from "../../shared/metrics.ts";

/** MESSAGE_CONTENT and MessageContent are the same name. */
const plain = (name: string): string => name.replaceAll("_", "").toLowerCase();

const discord = (table: object): Map<string, unknown> =>
  new Map(Object.entries(table).map(([name, bits]) => [plain(name), bits]));

describe("intents", () => {
  it.each(Object.entries(INTENTS))("%s has Discord's bit", (name, bits) => {
    expect(discord(GatewayIntentBits).get(plain(name))).toBe(bits);
  });

  it("turn into bits and back", () => {
    expect(intentBits(["GUILDS", "GUILD_MESSAGES"])).toBe(513);
    expect(intentBits(513)).toBe(513);
    expect(intentNames(513)).toEqual(["GUILDS", "GUILD_MESSAGES"]);
  });
});

describe("permissions", () => {
  it.each(Object.entries(PERMISSIONS))("%s has Discord's bit", (name, bits) => {
    expect(discord(PermissionFlagsBits).get(plain(name))).toBe(bits);
  });
});

describe("the invite link", () => {
  it("asks for exactly what the bundled bot declares", () => {
    const link = new URL(inviteUrl("1234567890"));
    expect(link.origin + link.pathname).toBe("https://discord.com/oauth2/authorize");
    expect(Object.fromEntries(link.searchParams)).toEqual({
      client_id: "1234567890",
      scope: "bot applications.commands",
      permissions: "274877975552",
    });
    expect(BigInt("274877975552")).toBe(1024n | 2048n | 65536n | 274877906944n);
  });

  it("belongs to a bot that needs no privileged intent on day one", () => {
    expect(APPLICATION.intents).toEqual(["GUILDS", "GUILD_MESSAGES"]);
  });
});

describe("published metrics", () => {
  it("stay within twenty, each a monthly cost", () => {
    expect(metricNames().filter((name) => METRICS[name].reach === "published").length).toBeLessThanOrEqual(20);
  });
});
