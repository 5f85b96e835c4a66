// Requests for guild members: every waiter settles, and a guild is asked for its full list no more often than it may be.

import { beforeEach, describe, expect, it } from "vitest";
import { type MemberRequests, memberRequests } from "../../../bot/gateway/members.ts";
import { type VirtualClock, virtualClock } from "../../virtualClock.ts";

let clock: VirtualClock;
let requests: MemberRequests;
let sent: { at: number; nonce: string }[];
let there: boolean;

beforeEach(() => {
  clock = virtualClock();
  sent = [];
  there = true;
  requests = memberRequests({
    clock,
    send(_guild, _op, data) {
      if (there) sent.push({ at: clock.now(), nonce: String(Reflect.get(Object(data), "nonce")) });
      return there;
    },
  });
});

const outcome = (request: Promise<unknown>): Promise<unknown> => request.catch((error: unknown) => error);
const limited = (data: object) => requests.dispatched("RATE_LIMITED", data);

describe("a request for members", () => {
  it("times out when nothing comes, and a chunk gives it as long again", async () => {
    const request = outcome(requests.request({ guildId: "1", userIds: ["2"] }));
    await clock.advance(80_000);
    const nonce = sent[0]?.nonce;
    requests.dispatched("GUILD_MEMBERS_CHUNK", { nonce, members: [], chunk_index: 0, chunk_count: 2 });
    await clock.advance(80_000);
    expect(clock.pending()).toBe(1);
    await clock.advance(10_000);
    expect(await request).toMatchObject({ kind: "timeout" });
    expect(clock.pending()).toBe(0);
  });

  it("of a full list waits 30 s behind the guild's last one, of another guild not at all", async () => {
    for (const guildId of ["1", "1", "2"]) void outcome(requests.request({ guildId }));
    await clock.advance(60_000);
    expect(sent.map(({ at }) => at)).toEqual([0, 0, 30_500]);
  });

  it.each([{ retry_after: 12.5 }, {}, { retry_after: "soon" }])(
    "limited with %j: later ones wait, and go",
    async (time) => {
      const first = outcome(requests.request({ guildId: "1" }));
      limited({ ...time, meta: { guild_id: "1", nonce: sent[0]?.nonce } });
      const retryAfterMs = time.retry_after === 12.5 ? 12_500 : 30_500;
      expect(await first).toMatchObject({ kind: "rateLimited", retryAfterMs });
      void outcome(requests.request({ guildId: "1" }));
      await clock.advance(60_000);
      expect(sent.map(({ at }) => at)).toEqual([0, retryAfterMs]);
    },
  );

  it("ends with its signal, before and after it was sent, and with the fleet", async () => {
    const cause = new Error("no longer wanted");
    const abort = new AbortController();
    const waiting = [
      requests.request({ guildId: "1" }, abort.signal),
      requests.request({ guildId: "1" }, abort.signal),
    ];
    const outcomes = Promise.all(waiting.map(outcome));
    abort.abort(cause);
    expect(await outcomes).toEqual([cause, cause]);
    const last = outcome(requests.request({ guildId: "3" }));
    requests.stop();
    expect(await last).toMatchObject({ kind: "stopped" });
    await expect(requests.request({ guildId: "3" })).rejects.toMatchObject({ kind: "stopped" });
    expect(clock.pending()).toBe(0);
  });

  it("waits for shards, no longer than for its answer", async () => {
    there = false;
    const [first, second] = [outcome(requests.request({ guildId: "1" })), outcome(requests.request({ guildId: "2" }))];
    await clock.advance(80_000);
    there = true;
    requests.begin();
    expect(sent).toHaveLength(2);
    requests.begin();
    expect(sent).toHaveLength(2);
    const answer = { nonce: sent[0]?.nonce, members: [{ id: "3" }], chunk_index: 0, chunk_count: 1 };
    requests.dispatched("GUILD_MEMBERS_CHUNK", answer);
    await clock.advance(10_000);
    expect(await first).toMatchObject({ members: [{ id: "3" }] });
    expect(await second).toMatchObject({ kind: "timeout" });
  });

  it.each([
    { query: { guildId: "a guild" }, kind: "invalid" },
    { query: { guildId: "1", userIds: Array<string>(101).fill("2") }, kind: "invalid" },
  ])("is refused at the call: $kind", async ({ query, kind }) => {
    await expect(requests.request(query)).rejects.toMatchObject({ kind });
    expect(sent).toEqual([]);
  });

  it("is refused when a thousand wait", async () => {
    for (let ask = 0; ask < 1_000; ask++) void outcome(requests.request({ guildId: "1", userIds: ["2"] }));
    await expect(requests.request({ guildId: "1", userIds: ["2"] })).rejects.toMatchObject({ kind: "full" });
    requests.stop();
  });
});
