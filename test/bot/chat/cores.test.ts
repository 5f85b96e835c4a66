// Fair turns, bounded conversations, and permissions in a channel.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createConversations } from "../../../bot/chat/conversations.ts";
import { createFairTurns } from "../../../bot/chat/fairTurns.ts";
import { createModelQueue, QueueFull } from "../../../bot/chat/modelQueue.ts";
import { has, type MemberInChannel, permissionsIn } from "../../../bot/chat/permissions.ts";
import { PERMISSIONS } from "../../../shared/application.ts";

describe("fair turns", () => {
  it("serve a server that asks once before the hundredth of one that floods", () => {
    const turns = createFairTurns<string>(100);
    for (let index = 0; index < 100; index++) expect(turns.add("flood", `f${index}`)).toBe(true);
    expect(turns.add("flood", "one too many")).toBe(false);
    turns.add("quiet", "q");
    expect([turns.next(), turns.next(), turns.next()]).toEqual(["f0", "q", "f1"]);
    expect(turns.waiting).toBe(98);
  });

  it("forget who gave up", () => {
    const turns = createFairTurns<string>(2);
    turns.add("a", "1");
    turns.add("a", "2");
    turns.remove("a", "1");
    turns.remove("a", "1");
    turns.remove("b", "1");
    expect(turns.add("a", "3")).toBe(true);
    expect([turns.next(), turns.next(), turns.next()]).toEqual(["2", "3", undefined]);
    expect(turns.waiting).toBe(0);
  });

  it("serve everyone once, each server in order, and none twice while another waits from before", () => {
    const asked = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 60 });
    fc.assert(
      fc.property(asked, (servers) => {
        const turns = createFairTurns<{ server: string; index: number }>(100);
        for (const [index, server] of servers.entries()) turns.add(server, { server, index });
        const left = new Map<string, number>();
        for (const server of servers) left.set(server, (left.get(server) ?? 0) + 1);
        const served: { server: string; index: number }[] = [];
        for (let item = turns.next(); item !== undefined; item = turns.next()) served.push(item);
        expect(served).toHaveLength(servers.length);
        for (const server of new Set(servers)) {
          const own = served.filter((item) => item.server === server).map(({ index }) => index);
          expect(own).toEqual(own.toSorted((one, other) => one - other));
        }
        // As long as every server has somebody waiting, each round serves each of them once.
        const rounds = Math.min(...left.values());
        for (let round = 0; servers.length > 0 && round < rounds; round++) {
          const slice = served.slice(round * left.size, (round + 1) * left.size);
          expect(new Set(slice.map(({ server }) => server)).size).toBe(left.size);
        }
      }),
    );
  });
});

describe("the way to the model", () => {
  it("is open to so many at once; whoever gives up leaves the line, and a place is handed on", async () => {
    const seen: number[] = [];
    const queue = createModelQueue({ running: 1, waitingPerServer: 2, onWaiting: (waiting) => seen.push(waiting) });
    const first = Promise.withResolvers<string>();
    const giving = new AbortController();
    const staying = new AbortController().signal;
    const order: string[] = [];
    const run = (name: string, work: () => Promise<string>, signal: AbortSignal): Promise<string> => {
      const noted = (): Promise<string> => {
        order.push(name);
        return work();
      };
      return queue.run("a", noted, signal);
    };
    const one = run("one", () => first.promise, staying);
    const two = run("two", async () => "two", giving.signal);
    const three = run("three", () => Promise.reject(new Error("no answer")), staying);
    await expect(run("four", async () => "four", staying)).rejects.toBeInstanceOf(QueueFull);
    giving.abort(new Error("given up"));
    await expect(two).rejects.toThrow("given up");
    const five = run("five", async () => "five", staying);
    first.resolve("one");
    expect(await one).toBe("one");
    await expect(three).rejects.toThrow("no answer");
    expect(await five).toBe("five");
    expect(order).toEqual(["one", "three", "five"]);
    expect([queue.waiting, seen.at(-1)]).toEqual([0, 0]);
    expect(await run("six", async () => "six", staying)).toBe("six");
    await expect(run("seven", async () => "seven", giving.signal)).rejects.toThrow("given up");
  });
});

describe("conversations", () => {
  it("are apart for each person and each channel", () => {
    const said = createConversations();
    said.remember("c1", "u1", "q1", "a1", 0);
    said.remember("c1", "u2", "q2", "a2", 0);
    said.remember("c2", "u1", "q3", "a3", 0);
    expect(said.recall("c1", "u1", 1)).toEqual([
      { role: "user", content: "q1" },
      { role: "assistant", content: "a1" },
    ]);
    expect(said.recall("c2", "u2", 1)).toEqual([]);
  });

  it("keep the last ten turns, for half an hour, of so many people", () => {
    const said = createConversations(2);
    for (let index = 0; index < 20; index++) said.remember("c", "u", `q${index}`, `a${index}`, index);
    expect(said.recall("c", "u", 20).map(({ content }) => content)).toEqual(
      [15, 16, 17, 18, 19].flatMap((index) => [`q${index}`, `a${index}`]),
    );
    expect(said.recall("c", "u", 19 + 30 * 60_000)).toEqual([]);
    said.remember("c", "v", "q", "a", 20);
    said.remember("c", "u", "again", "a", 21);
    said.remember("c", "w", "q", "a", 22);
    expect(said.recall("c", "v", 23)).toEqual([]);
    expect(said.recall("c", "u", 23)).not.toEqual([]);
    said.remember("c", "u", "x".repeat(10_000), "a", 24);
    expect(said.recall("c", "u", 25).at(-2)?.content).toHaveLength(4_000);
  });
});

describe("permissions in a channel", () => {
  const { VIEW_CHANNEL, SEND_MESSAGES, MANAGE_MESSAGES, ADMINISTRATOR, READ_MESSAGE_HISTORY } = PERMISSIONS;
  const base: MemberInChannel = {
    guildId: "1",
    ownerId: "2",
    roles: [
      { id: "1", permissions: String(VIEW_CHANNEL | SEND_MESSAGES | READ_MESSAGE_HISTORY) },
      { id: "10", permissions: String(MANAGE_MESSAGES) },
      { id: "11", permissions: String(ADMINISTRATOR) },
    ],
    overwrites: [],
    userId: "9",
    memberRoles: [],
  };
  const overwrite = (id: string, type: number, allow: bigint, deny: bigint) => ({
    id,
    type,
    allow: String(allow),
    deny: String(deny),
  });
  const denied = (id: string, type = 0) => overwrite(id, type, 0n, MANAGE_MESSAGES);
  const allowed = (id: string, type = 0) => overwrite(id, type, MANAGE_MESSAGES, 0n);

  it.each<[string, Partial<MemberInChannel>, boolean]>([
    ["a member", {}, false],
    ["the owner", { userId: "2", overwrites: [denied("1")] }, true],
    ["a moderator's role", { memberRoles: ["10"] }, true],
    ["an administrator", { memberRoles: ["11"], overwrites: [denied("1"), denied("11")] }, true],
    ["a role denied here", { memberRoles: ["10"], overwrites: [denied("10")] }, false],
    ["everyone denied here", { memberRoles: ["10"], overwrites: [denied("1")] }, false],
    ["everyone denied, the role allowed", { memberRoles: ["10"], overwrites: [denied("1"), allowed("10")] }, true],
    [
      "one role denied, another allowed",
      { memberRoles: ["10", "12"], overwrites: [allowed("12"), denied("10")] },
      true,
    ],
    ["the member denied", { memberRoles: ["10"], overwrites: [allowed("10"), denied("9", 1)] }, false],
    ["the member allowed", { overwrites: [denied("1"), allowed("9", 1)] }, true],
    ["another's overwrite", { overwrites: [allowed("8", 1), allowed("10")] }, false],
    ["a role that shares the member's id", { overwrites: [allowed("9", 0)] }, false],
    ["a timeout", { memberRoles: ["10"], timedOutUntil: 1_001 }, false],
    ["a timeout that is over", { memberRoles: ["10"], timedOutUntil: 1_000 }, true],
    ["no view", { memberRoles: ["10"], overwrites: [overwrite("1", 0, 0n, VIEW_CHANNEL)] }, false],
  ])("%s", (_what, given, expected) => {
    expect(has(permissionsIn({ ...base, ...given }, 1_000), "MANAGE_MESSAGES")).toBe(expected);
  });

  it("counts bits beyond 31", () => {
    const roles = [{ id: "1", permissions: String(VIEW_CHANNEL | PERMISSIONS.SEND_MESSAGES_IN_THREADS) }];
    expect(has(permissionsIn({ ...base, roles }, 0), "SEND_MESSAGES_IN_THREADS")).toBe(true);
    expect(has(permissionsIn({ ...base, roles }, 0), "ADD_REACTIONS")).toBe(false);
  });
});
