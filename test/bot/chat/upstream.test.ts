// The client of the model's provider over real sockets: keys, quotas, retries, the breaker, and no key in sight.

import { afterEach, describe, expect, it } from "vitest";
import { outcomeOf } from "../../../bot/chat/completion.ts";
import { createUpstream, type Upstream } from "../../../bot/chat/upstream.ts";
import type { Values } from "../../../bot/ledger/ledger.ts";
import { createMemoryLedger } from "../../../bot/ledger/memory.ts";
import type { Quota } from "../../../shared/chat.ts";
import { Secret } from "../../../shared/secret.ts";
import { type SimulatedKey, type SimulatedUpstream, startSimulatedUpstream } from "../../upstream/index.ts";
import { type VirtualClock, virtualClock } from "../../virtualClock.ts";
import { type RecordingTelemetry, recordingTelemetry } from "../telemetry/recordingTelemetry.ts";

const FIRST = "hf_first_key_0001";
const SECOND = "hf_second_key_0002";
const ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Bench {
  readonly provider: SimulatedUpstream;
  readonly upstream: Upstream;
  readonly telemetry: RecordingTelemetry;
  readonly values: Values;
  readonly clock: VirtualClock;
  readonly logged: string[];
  /** Resolves when it holds; time does not move meanwhile. */
  until(condition: () => boolean): Promise<void>;
  /** Lets the wait before the next try pass, once so many tries have failed. */
  passFailures(count: number): Promise<void>;
  ask(text?: string, signal?: AbortSignal): Promise<string>;
  /** The same bot after a restart. */
  again(): Upstream;
}

async function bench(
  given: { keys?: readonly SimulatedKey[]; quotas?: readonly Quota[]; used?: readonly string[] } = {},
): Promise<Bench> {
  const { keys = [{ key: FIRST }, { key: SECOND }], quotas = [{}], used = keys.map(({ key }) => key) } = given;
  const clock = virtualClock(Date.UTC(2026, 2, 15, 12, 10));
  const provider = await startSimulatedUpstream({ clock, keys });
  const telemetry = recordingTelemetry();
  const { values } = createMemoryLedger();
  const logged: string[] = [];
  const open = (): Upstream => {
    const ending = new AbortController();
    ends.push(() => ending.abort());
    return createUpstream({
      clock,
      random: () => 0.5,
      telemetry,
      values,
      log: (level, message) => void logged.push(`${level} ${message}`),
      signal: ending.signal,
      url: provider.url,
      model: "a-model",
      keys: used.map((key) => new Secret(key)),
      quotas,
    });
  };
  ends.push(() => provider.stop());
  const upstream = open();
  const ask = (text = "why?", signal = new AbortController().signal): Promise<string> =>
    upstream.complete([{ role: "user", content: text }], signal);
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve));
  };
  const passFailures = async (count: number): Promise<void> => {
    await until(() => (telemetry.counts.get("UpstreamFailures") ?? 0) >= count);
    await clock.advance(8_000);
  };
  return { provider, upstream, telemetry, values, clock, logged, until, passFailures, ask, again: open };
}

const keysUsed = ({ provider }: Bench): number[] => provider.requests.map(({ key }) => key);

describe("a completion", () => {
  it("carries model and messages, and comes back as text", async () => {
    const it = await bench();
    expect(await it.ask("what is a mooring?")).toBe("Answer to: what is a mooring?");
    expect(it.provider.requests).toMatchObject([
      { key: 0, model: "a-model", messages: [{ role: "user", content: "what is a mooring?" }], status: 200 },
    ]);
    expect(it.telemetry.counts.get("UpstreamTokens")).toBe(20);
  });

  it.each([
    [500, undefined, "", { kind: "failed", status: 500 }],
    [400, undefined, "", { kind: "rejected", status: 400 }],
    [401, undefined, "", { kind: "refused", status: 401 }],
    [402, undefined, "", { kind: "spent", status: 402, until: Date.UTC(2026, 3, 1) }],
    [429, undefined, "", { kind: "spent", status: 429, until: Date.UTC(2026, 2, 15, 13) }],
    [429, undefined, '{"code":"insufficient_quota"}', { kind: "spent", status: 429, until: Date.UTC(2026, 3, 1) }],
    [429, "7", "", { kind: "spent", status: 429, until: Date.UTC(2026, 2, 15, 12, 10, 7) }],
    [429, "0", "", { kind: "spent", status: 429, until: Date.UTC(2026, 2, 15, 12, 10, 1) }],
    [429, "Sun, 15 Mar 2026 12:11:00 GMT", "", { kind: "spent", status: 429, until: Date.UTC(2026, 2, 15, 12, 11) }],
    [200, undefined, "<html>", { kind: "nonsense" }],
    [200, undefined, '{"choices":[]}', { kind: "nonsense" }],
    [200, undefined, '{"choices":[{"message":{"content":"\\ud83d"}}]}', { kind: "answer", text: "\ufffd", tokens: 12 }],
  ] as const)("status %s, Retry-After %s, body %s", (status, retryAfter, body, outcome) => {
    expect(outcomeOf(status, retryAfter, body, Date.UTC(2026, 2, 15, 12, 10))).toEqual(outcome);
  });
});

describe("keys", () => {
  it("are changed when the own count says so, and back at the top of the hour", async () => {
    const it = await bench({ quotas: [{ requestsAnHour: 2 }, {}] });
    for (let count = 0; count < 4; count++) await it.ask();
    expect(keysUsed(it)).toEqual([0, 0, 1, 1]);
    expect(it.telemetry.levels.get("UpstreamKeysSpent")).toBe(0.5);
    expect(it.upstream.status()).toMatchObject({ keys: 2, spent: 1 });
    await it.clock.advance(51 * 60_000);
    await it.ask();
    expect(keysUsed(it)).toEqual([0, 0, 1, 1, 0]);
    expect(it.telemetry.named("upstream.key")).toMatchObject([
      { from: 1, to: 2, until: null },
      { from: 2, to: 1, reason: "its window has turned" },
    ]);
    expect(it.telemetry.levels.get("UpstreamKeysSpent")).toBe(0);
  });

  it("are changed when the provider says so, within one question", async () => {
    const it = await bench({ keys: [{ key: FIRST, requestsAMonth: 1 }, { key: SECOND }] });
    for (let count = 0; count < 3; count++) expect(await it.ask()).toBe("Answer to: why?");
    expect(keysUsed(it)).toEqual([0, 0, 1, 1]);
    expect(it.provider.requests.map(({ status }) => status)).toEqual([200, 402, 200, 200]);
  });

  it("that are not taken are passed over and told of, by number", async () => {
    const it = await bench({ keys: [{ key: SECOND }], used: [FIRST, SECOND] });
    await it.ask();
    await it.ask();
    expect(keysUsed(it)).toEqual([-1, 0, 0]);
    expect(it.logged).toEqual(["error key 1 of UPSTREAM_KEYS is not taken (status 401); replace it"]);
  });

  it("all spent: says until when, and clears by itself", async () => {
    const it = await bench({ quotas: [{ requestsAnHour: 1 }] });
    await it.ask();
    await it.ask();
    expect(it.telemetry.levels.get("UpstreamKeysSpent")).toBe(1);
    await expect(it.ask()).rejects.toMatchObject({ kind: "exhausted", until: Date.UTC(2026, 2, 15, 13) });
    expect(it.provider.requests).toHaveLength(2);
    await it.clock.advance(51 * 60_000);
    expect(it.telemetry.levels.get("UpstreamKeysSpent")).toBe(0);
    await it.ask();
  });

  it("are waited for when their limit ends within seconds", async () => {
    const it = await bench({ keys: [{ key: FIRST }] });
    it.provider.fail({ kind: "status", status: 429, headers: { "retry-after": "5" } }, 1);
    const asked = it.ask();
    await it.until(() => it.telemetry.levels.get("UpstreamKeysSpent") === 1);
    await it.clock.advance(4_999);
    expect(it.provider.requests).toHaveLength(1);
    await it.clock.advance(1);
    expect(await asked).toBe("Answer to: why?");
    const [first, second] = it.provider.requests;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(5_000);
  });

  it("spent before a restart are told as such though nobody asks", async () => {
    const it = await bench({ quotas: [{ requestsAnHour: 1 }] });
    await it.ask();
    expect(it.telemetry.levels.get("UpstreamDown")).toBe(0);
    it.telemetry.levels.clear();
    it.again();
    await it.until(() => it.telemetry.levels.get("UpstreamKeysSpent") === 0.5);
  });

  it("are counted in the ledger before the request leaves, so that no crash makes one forgotten", async () => {
    const it = await bench();
    for (let count = 1; count <= 3; count++) {
      it.provider.fail({ kind: "hang" }, 1);
      const giving = new AbortController();
      const asked = it.ask("why?", giving.signal).catch(() => {});
      await it.until(() => it.provider.requests.length === count);
      expect(await it.values.read("upstream/keys", it.clock.wall())).toContain(`"requests":${count}`);
      giving.abort();
      await asked;
    }
  });

  it("keep their counts over a restart, in a place that tells no key", async () => {
    const it = await bench({ quotas: [{ requestsAnHour: 2 }, {}] });
    await it.ask();
    await it.ask();
    await it.clock.advance(0);
    await it.again().complete([{ role: "user", content: "again" }], new AbortController().signal);
    expect(keysUsed(it)).toEqual([0, 0, 1]);
    const kept = await it.values.read("upstream/keys", it.clock.wall());
    expect(kept).toContain('"requests":2');
    for (const text of [kept ?? "", JSON.stringify(it.telemetry.events), it.logged.join()]) {
      expect(text).not.toContain(FIRST);
      expect(text).not.toContain(SECOND);
    }
  });
});

describe("faults", () => {
  it("of the server are tried again, a few times", async () => {
    const it = await bench();
    it.provider.fail({ kind: "status", status: 503, headers: {} }, 2);
    const asked = it.ask();
    await it.passFailures(1);
    await it.passFailures(2);
    expect(await asked).toBe("Answer to: why?");
    expect(it.provider.requests.map(({ status }) => status)).toEqual([503, 503, 200]);
    it.provider.fail({ kind: "status", status: 500, headers: {} });
    const failing = it.ask();
    failing.catch(() => {});
    await it.passFailures(3);
    await it.passFailures(4);
    await expect(failing).rejects.toMatchObject({ kind: "failed" });
    expect(it.provider.requests).toHaveLength(6);
  });

  it.each([
    ["rejected", { kind: "status", status: 400, headers: {} }],
    ["nonsense", { kind: "text", text: "<html>" }],
    ["network", { kind: "reset" }],
    ["timeout", { kind: "hang" }],
  ] as const)("%s is not tried again", async (kind, fault) => {
    const it = await bench();
    it.provider.fail(fault);
    const asked = it.ask("a secret question").catch((reason: unknown) => reason);
    await it.until(() => it.provider.requests.length === 1);
    if (fault.kind === "hang") await it.clock.advance(30_000);
    const error = await asked;
    expect(error).toMatchObject({ name: "UpstreamError", kind });
    expect(it.provider.requests).toHaveLength(1);
    expect(String(error)).not.toContain("secret question");
  });

  it("stop when whoever asked gives up", async () => {
    const it = await bench();
    it.provider.fail({ kind: "hang" });
    const giving = new AbortController();
    const asked = it.ask("why?", giving.signal);
    giving.abort(new Error("given up"));
    await expect(asked).rejects.toThrow("given up");
  });

  it("open the breaker, which lets one probe through until one succeeds", async () => {
    const it = await bench();
    it.provider.fail({ kind: "status", status: 400, headers: {} }, 3);
    for (let count = 0; count < 3; count++) await expect(it.ask()).rejects.toMatchObject({ kind: "rejected" });
    expect(it.telemetry.levels.get("UpstreamDown") ?? 0).toBe(0);
    it.provider.fail({ kind: "status", status: 500, headers: {} });
    const failing = [it.ask(), it.ask()];
    for (const asked of failing) asked.catch(() => {});
    await it.passFailures(2);
    await it.passFailures(4);
    await it.passFailures(5);
    for (const asked of failing) await expect(asked).rejects.toMatchObject({ name: "UpstreamError" });
    const { length } = it.provider.requests;
    expect(it.telemetry.named("upstream.state")).toMatchObject([{ from: "closed", to: "open" }]);
    await expect(it.ask()).rejects.toMatchObject({ kind: "down" });
    expect(it.provider.requests).toHaveLength(length);
    expect(it.telemetry.levels.get("UpstreamDown")).toBe(1);
    it.provider.heal();
    await it.clock.advance(70_000);
    expect(await it.ask()).toBe("Answer to: why?");
    expect(it.telemetry.levels.get("UpstreamDown")).toBe(0);
    expect(it.telemetry.named("upstream.state").map(({ to }) => to)).toEqual(["open", "probing", "closed"]);
  });

  it("a provider that is gone counts as one that fails", async () => {
    const it = await bench();
    await it.provider.vanish();
    const asked = [it.ask(), it.ask()];
    for (const each of asked) each.catch(() => {});
    await it.passFailures(2);
    await it.passFailures(4);
    await it.passFailures(5);
    await expect(asked[0]).rejects.toMatchObject({ kind: "network" });
    expect(it.telemetry.levels.get("UpstreamDown")).toBe(1);
  });
});
