// One question, one answer: whatever dies in the middle, whoever comes after, and whether or not the ledger can be reached.

import { afterEach, describe, expect, it } from "vitest";
import { LedgerError } from "../../../bot/ledger/ledgerError.ts";
import { type SimulatedUpstream, startSimulatedUpstream } from "../../upstream/index.ts";
import { type ChatBench, chatBench, type Run, until } from "./chatBench.ts";

const KEY = "hf_the_only_key_1";
const ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Pair extends ChatBench {
  readonly provider: SimulatedUpstream;
  start(): Promise<Run>;
}

async function pair(): Promise<Pair> {
  const bench = chatBench();
  const provider = await startSimulatedUpstream({
    clock: bench.clock,
    keys: [{ key: KEY }],
    answer: () => "One sentence. ".repeat(300),
  });
  ends.push(() => provider.stop());
  const start = async (): Promise<Run> => {
    const run = await bench.run({ UPSTREAM_URL: provider.url, UPSTREAM_KEYS: KEY });
    ends.push(() => run.end());
    return run;
  };
  return { ...bench, provider, start };
}

/** Like a process that is killed: nothing of it goes on, its lease runs out. */
async function killed({ clock }: Pair, run: Run): Promise<void> {
  const { signal } = run.bot;
  expect(signal.aborted).toBe(false);
  run.end();
  await clock.advance(11_000);
}

/** Killed while the model has not answered. */
async function killedAsking(it: Pair): Promise<{ readonly run: Run; readonly dying: ReturnType<Run["write"]> }> {
  const run = await it.start();
  it.provider.fail({ kind: "hang" }, 1);
  const dying = run.write("why?");
  dying.done.catch(() => {});
  await until(() => it.provider.requests.length === 1);
  await killed(it, run);
  return { run, dying };
}

/** Killed while it could not send a part of the answer, from that one of its messages on. */
async function killedSending(it: Pair, from: number): Promise<string> {
  const run = await it.start();
  let sent = 0;
  run.refuse(({ path }) => path.endsWith("/messages") && ++sent >= from, new Error("the process died"));
  const { id, done } = run.write("why?");
  await done;
  await killed(it, run);
  return id;
}

describe("a crowd's questions", () => {
  it("share one lease, written once for all that come together", async () => {
    const bench = chatBench();
    const { write } = bench.values;
    const written: string[] = [];
    Object.assign(bench.values, {
      write: async (...given: Parameters<typeof write>) => {
        written.push(given[0]);
        // As long as a database may take.
        await new Promise((resolve) => setImmediate(resolve));
        return write(...given);
      },
    });
    const run = await bench.run();
    ends.push(() => run.end());
    await Promise.all(
      Array.from({ length: 24 }, (_, place) => run.write({ content: "why?", channel_id: `${place}` }).done),
    );
    expect(run.replies()).toHaveLength(24);
    expect(written.filter((key) => key.startsWith("run/"))).toHaveLength(1);
  });
});

describe("an event that comes twice", () => {
  it("is answered once, at the same time or later", async () => {
    const it = await pair();
    const run = await it.start();
    const first = run.write("why?");
    const second = run.write({ id: first.id, content: "why?" });
    await Promise.all([first.done, second.done]);
    await run.write({ id: first.id, content: "why?" }).done;
    expect(it.provider.requests).toHaveLength(1);
    expect(run.replies().map(({ nonce }) => nonce)).toEqual([0, 1, 2].map((chunk) => `${first.id}.${chunk}`));
  });

  it("is done once, if it is a command", async () => {
    const bench = chatBench();
    const run = await bench.run({ OPERATOR_USER_IDS: "1500000000000000000" });
    ends.push(() => run.end());
    const { id, done } = run.write("$reboot");
    await done;
    await run.write({ id, content: "$reboot" }).done;
    expect(run.restarts()).toBe(1);
    expect(run.replies()).toHaveLength(1);
  });
});

describe("a successor", () => {
  it("sends the stored answer from where it stopped, and asks nobody", async () => {
    const it = await pair();
    const id = await killedSending(it, 2);
    const next = await it.start();
    await next.write({ id, content: "why?" }).done;
    expect(next.replies().map(({ nonce }) => nonce)).toEqual([`${id}.1`, `${id}.2`]);
    expect(it.provider.requests).toHaveLength(1);
    expect(next.telemetry.named("chat.answered")).toMatchObject([{ message: id, source: "stored", chunks: 3 }]);
    await next.write({ id, content: "why?" }).done;
    expect(next.replies()).toHaveLength(2);
  });

  it("asks again where the model had not answered", async () => {
    const it = await pair();
    const { run, dying } = await killedAsking(it);
    await expect(dying.done).rejects.toThrow("the run is over");
    expect(run.replies()).toEqual([]);
    const next = await it.start();
    await next.write({ id: dying.id, content: "why?" }).done;
    expect(it.provider.requests).toHaveLength(2);
    expect(next.replies()).toHaveLength(3);
  });

  it("waits while its predecessor is at it, and then has nothing to do", async () => {
    const it = await pair();
    const run = await it.start();
    it.provider.fail({ kind: "hang" }, 1);
    const first = run.write("why?");
    await until(() => it.provider.requests.length === 1);
    const next = await it.start();
    const second = next.write({ id: first.id, content: "why?" });
    // The predecessor renews its lease for as long as it lives; its attempt ends after 30 s.
    await it.clock.advance(29_000);
    expect(it.provider.requests).toHaveLength(1);
    await it.clock.advance(1_000);
    await first.done;
    await it.clock.advance(2_000);
    await second.done;
    expect(next.replies()).toEqual([]);
    expect(run.replies()).toHaveLength(1);
  });

  it("is one of several", async () => {
    const it = await pair();
    const { dying } = await killedAsking(it);
    const heirs = [await it.start(), await it.start()];
    await Promise.all(heirs.map((heir) => heir.write({ id: dying.id, content: "why?" }).done));
    expect(it.provider.requests).toHaveLength(2);
    expect(heirs.flatMap((heir) => heir.replies())).toHaveLength(3);
  });

  it("leaves an answer that is too old for the nonce to tell whether it was sent", async () => {
    const it = await pair();
    const id = await killedSending(it, 1);
    await it.clock.advance(120_000);
    const next = await it.start();
    await next.write({ id, content: "why?" }).done;
    expect(next.replies()).toEqual([]);
    expect(next.logged.map(({ message }) => message).join()).toContain("stored too long ago");
  });
});

describe("a ledger that cannot be reached", () => {
  it("keeps no question from its answer, nor from being answered once", async () => {
    const broken = (): Promise<never> => Promise.reject(new LedgerError("unwritable", "the disk is full"));
    const bench = chatBench({ values: { read: broken, claim: broken, write: broken, remove: broken } });
    const run = await bench.run();
    ends.push(() => run.end());
    const { id, done } = run.write("why?");
    await done;
    await run.write({ id, content: "why?" }).done;
    expect(run.replies()).toHaveLength(1);
    expect(run.telemetry.named("ledger.unreachable").length).toBeGreaterThan(0);
  });
});
