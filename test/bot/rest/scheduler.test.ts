// The scheduler: routes that share a bucket, turns between lanes, order on one resource, and forgetting.

import { describe, expect, it } from "vitest";
import { Grouping } from "../../../bot/rest/grouping.ts";
import type { Entry, Priority } from "../../../bot/rest/queue.ts";
import { type Method, routeOf } from "../../../bot/rest/route.ts";
import { Scheduler } from "../../../bot/rest/scheduler.ts";
import { id } from "./harness.ts";

const limits = (hash: string, remaining: number, resetAfterMs = 5000) => ({ hash, limit: 5, remaining, resetAfterMs });

function given() {
  const scheduler = new Scheduler<string>();
  let now = 0;
  return {
    scheduler,
    at: (time: number) => {
      now = time;
    },
    add: (job: string, method: Method, path: string, priority: Priority = "user") =>
      scheduler.add(job, routeOf(method, path, undefined, 0), priority, now),
    answer: (entry: Entry<string>, hash: string, remaining: number) => {
      scheduler.answered(entry, now, limits(hash, remaining), true);
      scheduler.done(entry, now);
    },
    /** Everything that may go now. */
    go: (): Entry<string>[] => {
      const sent: Entry<string>[] = [];
      for (let entry = scheduler.next(now, true); entry !== undefined; entry = scheduler.next(now, true))
        sent.push(entry);
      return sent;
    },
  };
}
const jobs = (entries: readonly Entry<string>[]): string[] => entries.map(({ job }) => job);
const first = (entries: readonly Entry<string>[]): Entry<string> => entries[0] ?? expect.unreachable("nothing went");

describe("Grouping", () => {
  it("lets routes with one hash share, follows a new name, and ignores hashes that alternate", () => {
    const grouping = new Grouping();
    expect(grouping.learn("A", "one")).toMatchObject({ left: undefined, group: "A" });
    expect(grouping.learn("B", "one")).toMatchObject({ left: "B", group: "A" });
    expect(grouping.learn("A", "renamed")).toMatchObject({ left: undefined, group: "A" });
    expect(grouping.learn("C", "three")).toMatchObject({ group: "C" });
    for (let round = 0; round < 10; round++) {
      expect(grouping.learn("A", "three")).toMatchObject({ left: undefined, group: "A" });
      expect(grouping.learn("A", "one")).toMatchObject({ left: undefined, group: "A" });
    }
    grouping.learn("A", "three");
    grouping.learn("A", "three");
    expect(grouping.learn("A", "three")).toMatchObject({ left: "A", group: "C" });
    expect(grouping.of("A")).toBe("C");
  });
});

describe("Scheduler", () => {
  it("counts routes that share a hash together, and moves what was queued", () => {
    const { add, answer, go, at } = given();
    const path = `/channels/${id(1)}/messages`;
    add("post", "POST", path);
    answer(first(go()), "shared", 2);
    add("probe", "PATCH", `${path}/${id(1)}`);
    const probe = first(go());
    for (let number = 2; number < 7; number++) add(`edit${number}`, "PATCH", `${path}/${id(number)}`);
    expect(go()).toEqual([]);
    answer(probe, "shared", 1);
    expect(jobs(go())).toEqual(["edit2"]);
    add("post again", "POST", path);
    expect(go()).toEqual([]);
    at(5001);
    expect(jobs(go())).toEqual(["edit3", "edit4", "edit5", "edit6"]);
  });

  it("lets lanes take turns, the urgent first", () => {
    const { add, go } = given();
    for (let number = 0; number < 3; number++) {
      for (const resource of ["a", "b", "c"]) add(`${resource}${number}`, "GET", `/oauth2/${resource}`);
    }
    add("urgent", "GET", "/oauth2/d", "interaction");
    add("later", "GET", "/oauth2/e", "background");
    expect(jobs(go())).toEqual(["urgent", "a0", "b0", "c0", "later"]);
  });

  it("sends what changes one resource one by one, in order; a failed one does not block the next", () => {
    const { scheduler, add, go, at } = given();
    const path = `/channels/${id(1)}/messages/${id(2)}`;
    add("edit", "PATCH", path);
    add("delete", "DELETE", path);
    const edit = first(go());
    expect(go()).toEqual([]);
    scheduler.released(edit, 0);
    scheduler.again(edit, 500, 0);
    expect(go()).toEqual([]);
    expect(scheduler.wakesAt()).toBe(500);
    at(500);
    expect(jobs(go())).toEqual(["edit"]);
    scheduler.done(edit, 500);
    expect(jobs(go())).toEqual(["delete"]);
  });

  it("holds only the kind that a hidden sub-limit names", () => {
    const { scheduler, go, at } = given();
    const rename = routeOf("PATCH", `/channels/${id(1)}`, { name: "x" }, 0);
    const other = routeOf("PATCH", `/channels/${id(1)}`, { nsfw: true }, 0);
    scheduler.holdKinds(rename, 600_000);
    expect(scheduler.waitAtLeast(rename, "user", 0)).toBe(600_000);
    expect(scheduler.waitAtLeast(other, "user", 0)).toBe(0);
    scheduler.add("rename", rename, "user", 0);
    scheduler.add("other", other, "user", 0);
    const [sent] = go();
    expect(sent?.job).toBe("other");
    scheduler.answered(sent ?? expect.unreachable(), 0, undefined, true);
    expect(go()).toEqual([]);
    at(600_000);
    expect(jobs(go())).toEqual(["rename"]);
  });

  it("forgets lanes that nobody used, and none that still holds something", () => {
    const { scheduler, add, answer, go, at } = given();
    for (let number = 0; number < 100; number++) add("get", "GET", `/channels/${id(number)}`);
    for (const entry of go()) answer(entry, "h", 4);
    scheduler.block(routeOf("GET", `/channels/${id(1)}`, undefined, 0), 300_000, 0, true);
    expect(scheduler.lanes).toBe(100);
    at(120_000);
    scheduler.sweep(120_000);
    expect(scheduler.lanes).toBe(1);
    scheduler.sweep(300_001);
    expect(scheduler.lanes).toBe(0);
  });

  it("counts on no slot of a leaking bucket once a 429 has proved it wrong", () => {
    const { scheduler, add, go, at } = given();
    const path = `/channels/${id(1)}/messages`;
    // A slot of a second: the second and the third answer find it partly back, which no fixed window would.
    for (const [now, remaining, resetAfterMs] of [
      [0, 4, 1000],
      [100, 3, 1900],
      [200, 2, 2800],
    ] as const) {
      at(now);
      add("probe", "GET", path);
      const probe = first(go());
      scheduler.answered(probe, now, limits("leaking", remaining, resetAfterMs), true);
      scheduler.done(probe, now);
    }
    scheduler.block(routeOf("GET", path, undefined, 0), 1200, 200, true);
    for (let number = 0; number < 5; number++) add(`after ${number}`, "GET", path);
    at(1200);
    expect(go()).toEqual([]);
    at(3000);
    expect(go()).toHaveLength(5);
  });

  it("refuses more than one line can hold", () => {
    const { scheduler, add } = given();
    const path = `/channels/${id(1)}/messages`;
    const route = routeOf("POST", path, undefined, 0);
    let added = 0;
    while (scheduler.hasRoom(route) && added < 20_000) {
      add("post", "POST", path);
      added += 1;
    }
    expect(added).toBe(10_001);
    expect(scheduler.hasRoom(routeOf("POST", `/channels/${id(2)}/messages`, undefined, 0))).toBe(true);
  });

  it("refuses more than all lines together can hold", () => {
    const { scheduler, add } = given();
    const path = (number: number): string => `/channels/${id(number % 10)}/messages`;
    const room = (number: number): boolean => scheduler.hasRoom(routeOf("GET", path(number), undefined, 0));
    let added = 0;
    while (room(added) && added < 60_000) add("get", "GET", path(added++));
    expect(added).toBe(50_000);
  });
});
