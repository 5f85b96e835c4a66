// The list of drills against what is declared: no alarm that a log can set off is without one.

import { beforeAll, describe, expect, it } from "vitest";
import { type DeclaredProgram, declaredOnce, type StackName } from "../infra/program.ts";
import { declaredContainer, rehearsedEnvironment } from "./container.ts";
import { type Drill, unnamed } from "./drill.ts";
import { DRILLS, NOT_REHEARSED, rehearsedRules } from "./drills.ts";
import { exceptions, notRehearsed } from "./report.ts";

const STACKS: readonly StackName[] = ["dev", "staging", "prod"];
const programs = new Map<string, DeclaredProgram>();
const keyOf = (stack: StackName, own: Drill["stack"]): string => JSON.stringify([stack, own]);
/** Every alarm's condition of being declared, at once. */
const EVERYTHING: Drill["stack"] = {
  config: Object.assign({}, ...DRILLS.map((drill) => drill.stack?.config)),
  secrets: Object.assign({}, ...DRILLS.map((drill) => drill.stack?.secrets)),
};
beforeAll(async () => {
  for (const stack of STACKS) {
    for (const own of [undefined, EVERYTHING, ...DRILLS.map((drill) => drill.stack)]) {
      programs.set(keyOf(stack, own), await declaredOnce({ stack, ...own }));
    }
  }
});

/** @param own what the stack has besides its committed configuration. */
const programOf = (stack: StackName, own?: Drill["stack"]): DeclaredProgram => {
  const program = programs.get(keyOf(stack, own));
  if (program === undefined) throw new Error(`${stack} was not declared`);
  return program;
};

const declaredRules = ({ resources, project, stack }: DeclaredProgram): string[] =>
  resources.flatMap(({ inputs }) =>
    [inputs["name"], inputs["alarmName"]].flatMap((name) =>
      typeof name === "string" && name.startsWith(`${project}-${stack}-`)
        ? [name.slice(`${project}-${stack}-`.length)]
        : [],
    ),
  );

describe.each(STACKS)("in %s", (stack) => {
  it.each([
    ["as committed", undefined],
    ["with all that an alarm can depend on", EVERYTHING],
  ])("every alarm on the bot's own metrics has a drill, or a reason why not, %s", (_, own) => {
    const { bot } = notRehearsed(programOf(stack, own), DRILLS);
    expect(bot.filter((rule) => NOT_REHEARSED[rule] === undefined)).toEqual([]);
  });

  it("an alarm without its drill is found", () => {
    const without = DRILLS.filter(({ alarm }) => alarm !== "Fatal");
    expect(notRehearsed(programOf(stack), without).bot).toContain("Fatal");
  });

  it("every drill expects alarms that exist", () => {
    for (const drill of DRILLS) {
      const declared = declaredRules(programOf(stack, drill.stack));
      for (const rule of rehearsedRules([drill])) expect(declared).toContain(rule);
    }
  });

  it("what is called a part reaches nobody by itself, and what is expected reaches a topic", () => {
    for (const { alarm, also = [], through = [], stack: own } of DRILLS) {
      const { resources, project } = programOf(stack, own);
      const actionsOf = (rule: string): unknown =>
        resources.find(({ inputs }) => [inputs["name"], inputs["alarmName"]].includes(`${project}-${stack}-${rule}`))
          ?.inputs["alarmActions"];
      for (const rule of through) expect(actionsOf(rule) ?? []).toEqual([]);
      for (const rule of [...(alarm === undefined ? [] : [alarm]), ...also]) expect(actionsOf(rule)).toHaveLength(1);
    }
  });
});

describe("the list", () => {
  it("names each drill once", () => {
    expect(new Set(DRILLS.map(({ name }) => name)).size).toBe(DRILLS.length);
  });

  it("gives a reason only for what is not drilled", () => {
    for (const rule of Object.keys(NOT_REHEARSED)) expect(rehearsedRules(DRILLS).has(rule)).toBe(false);
  });
});

describe("a variable that must be as declared", () => {
  it("is set by a drill only with its reason, which is shown", () => {
    const exception = { name: "BOT_MODULE", value: "other.ts", why: "the bundled one does not hang" } as const;
    const { environment, changed } = rehearsedEnvironment(declaredContainer(programOf("dev")), {}, [exception]);
    expect(environment["BOT_MODULE"]).toBe("other.ts");
    expect(exceptions(changed)).toEqual(["sets BOT_MODULE=other.ts  (declared: unset): the bundled one does not hang"]);
  });
});

describe("the cause in the log", () => {
  const drill = {
    name: "a drill",
    fault: "a fault",
    quietMs: 0,
    names: [{ event: "fatal", fields: { code: "4014", fix: /Intent/ } }],
  } satisfies Drill;

  it.each<[string, readonly Record<string, unknown>[], RegExp | undefined]>([
    ["is named", [{ event: "fatal", code: "4014", fix: "Switch the Message Content Intent on" }], undefined],
    ["has another code", [{ event: "fatal", code: "4004", fix: "Intent" }], /no fatal with code "4014".*"4004"/],
    ["gives no fix", [{ event: "fatal", code: "4014" }], /fix \/Intent\//],
    ["is not there", [{ event: "edge.banned" }], /there is no such line/],
  ])("%s", (_what, lines, problem) => {
    const problems = unnamed(drill, lines);
    if (problem === undefined) expect(problems).toEqual([]);
    else expect(problems).toEqual([expect.stringMatching(problem)]);
  });
});
