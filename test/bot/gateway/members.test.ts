// Requests for guild members: every waiter settles, and a guild is asked for its full list no more often than it may be.

import { beforeEach, describe, expect, it } from "vitest";
import { type MemberRequests, memberRequests } from "../../../bot/gateway/members.ts";
import type { Shard } from "../../../bot/gateway/shard.ts";
import { type VirtualClock, virtualClock } from "../../virtualClock.ts";

let clock: VirtualClock;
let requests: MemberRequests;
let sent: { at: number; nonce: string }[];
let there: boolean;
/** What the shard has queued, while it sends nothing. */
let queue: (() => void)[];
let sends: boolean;

beforeEach(() => {
  clock = virtualClock();
  sent = [];
  there = true;
  queue = [];
  sends = true;
  const shard: Pick<Shard, "send"> = {
    send(_op, data, went) {
      const go = (): void => {
        sent.push({ at: clock.now(), nonce: String(Reflect.get(Object(data), "nonce")) });
        went();
      };
      if (sends) go();
      else queue.push(go);
      return () => {
        queue = queue.filter((each) => each !== go);
      };
    },
  };
  requests = memberRequests({ clock, shardFor: () => (there ? shard : undefined) });
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

  it("waits for shards, and no longer when others come meanwhile", async () => {
    there = false;
    const request = outcome(requests.request({ guildId: "1" }));
    await clock.advance(80_000);
    requests.begin();
    await clock.advance(10_000);
    expect(await request).toMatchObject({ kind: "timeout" });
    expect(clock.pending()).toBe(0);
  });

  it("goes once there are shards, and has all of its time for the answer", async () => {
    there = false;
    const [first, second] = [outcome(requests.request({ guildId: "1" })), outcome(requests.request({ guildId: "2" }))];
    await clock.advance(80_000);
    there = true;
    requests.begin();
    expect(sent).toHaveLength(2);
    requests.begin();
    expect(sent).toHaveLength(2);
    const answer = { nonce: sent[0]?.nonce, members: [{ id: "3" }], chunk_index: 0, chunk_count: 1 };
    await clock.advance(80_000);
    requests.dispatched("GUILD_MEMBERS_CHUNK", answer);
    await clock.advance(10_000);
    expect(await first).toMatchObject({ members: [{ id: "3" }] });
    expect(await second).toMatchObject({ kind: "timeout" });
  });

  it("waits twelve minutes for its shard to send it, and has all of its time for the answer then", async () => {
    sends = false;
    const request = outcome(requests.request({ guildId: "1" }));
    await clock.advance(720_000);
    queue.shift()?.();
    await clock.advance(80_000);
    requests.dispatched("GUILD_MEMBERS_CHUNK", { nonce: sent[0]?.nonce, members: [{ id: "3" }], chunk_count: 1 });
    expect(await request).toMatchObject({ members: [{ id: "3" }] });
    expect(clock.pending()).toBe(0);
  });

  it("that nobody waits for any more leaves the shard's queue: timed out, aborted, or stopped", async () => {
    sends = false;
    const late = outcome(requests.request({ guildId: "1" }));
    await clock.advance(890_000);
    const abort = new AbortController();
    const aborted = outcome(requests.request({ guildId: "2" }, abort.signal));
    const stopped = outcome(requests.request({ guildId: "3" }));
    expect(queue).toHaveLength(3);
    await clock.advance(10_000);
    expect(await late).toMatchObject({ kind: "timeout" });
    expect(queue).toHaveLength(2);
    abort.abort(new Error("no longer wanted"));
    await aborted;
    expect(queue).toHaveLength(1);
    requests.stop();
    await stopped;
    expect(queue).toEqual([]);
  });

  it("is not answered any more where the session has ended it was sent in; what was not sent yet is", async () => {
    const [asked, other] = [outcome(requests.request({ guildId: "1" })), outcome(requests.request({ guildId: "2" }))];
    sends = false;
    const waits = outcome(requests.request({ guildId: "3" }));
    requests.sessionEnded((guildId) => guildId !== "2");
    expect(await asked).toMatchObject({ kind: "sessionEnded" });
    expect(queue).toHaveLength(1);
    queue.shift()?.();
    for (const { nonce } of sent) requests.dispatched("GUILD_MEMBERS_CHUNK", { nonce, chunk_count: 1 });
    expect(await Promise.all([other, waits])).toEqual(Array(2).fill({ members: [], presences: [], notFound: [] }));
  });

  it("waits for another shard where the one that had it queued has gone", async () => {
    sends = false;
    const request = outcome(requests.request({ guildId: "1" }));
    there = false;
    requests.sessionEnded(() => true);
    expect(queue).toEqual([]);
    there = true;
    sends = true;
    requests.begin();
    expect(sent).toHaveLength(1);
    requests.stop();
    expect(await request).toMatchObject({ kind: "stopped" });
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
