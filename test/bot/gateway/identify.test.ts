// The identify queue of one process and its budget: both are held to their ports, and to what is theirs alone.

import { expect, it } from "vitest";
import { identifyBudget } from "../../../bot/gateway/budget.ts";
import { identifyQueue } from "../../../bot/gateway/identify.ts";
import { budgetConformance, INFO } from "./budgetConformance.ts";
import { identifyConformance } from "./identifyConformance.ts";

budgetConformance("the budget of one process", identifyBudget);
identifyConformance("the queue of one process", (options) => identifyQueue(options));

it("goes by the budget that it is given", () => {
  const budget = identifyBudget({ shardCount: 1, reserve: 5, override: false });
  const queue = identifyQueue({ shardCount: 1, reserve: 0, override: false, holdUntil: 0 }, budget);
  queue.inform({ ...INFO, remaining: 5 }, 0);
  queue.ask(0);
  expect(queue.step(0).waiting).toEqual([0]);
});
