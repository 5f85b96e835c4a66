// Drills on the bot itself: its process, a deploy, its module's handlers, its ledger and its metric lines.

import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type Drill, type Exception, identifies, MINUTE_MS } from "../drill.ts";
import type { World } from "../world.ts";

const MODULES = path.resolve(import.meta.dirname, "../modules");

const module = (file: string, why: string) => (): readonly Exception[] => [
  { name: "BOT_MODULE", value: path.join(MODULES, file), why },
];

const fileLedger = (directory: string): readonly Exception[] => [
  {
    name: "LEDGER",
    value: `file:${path.join(directory, "ledger")}`,
    why: "a ledger that outlives the process is needed",
  },
];

const share = ({ asked, discord }: World): string =>
  `${asked()} questions asked, ${discord.counts.rest.messagesCreated} answered`;

export const PROCESS_DRILLS: readonly Drill[] = [
  {
    name: "quiet run",
    fault: "none: users ask, the bot answers",
    always: true,
    quietMs: 10 * MINUTE_MS,
    verify: (world) => {
      const { messagesCreated } = world.discord.counts.rest;
      return [...identifies(1)(world), ...(messagesCreated > 0 ? [] : ["nobody was answered"])];
    },
    tell: share,
  },
  {
    name: "deploy",
    fault: "SIGTERM in the middle of traffic, then the next task, with the ledger as declared",
    names: [
      { event: "bot.draining", fields: { signal: "SIGTERM" } },
      { event: "bot.stopped", fields: { exitCode: 0 } },
    ],
    quietMs: 2 * MINUTE_MS,
    inflict: (world) => world.replaceBot(),
    lastsMs: 3 * MINUTE_MS,
    // Without a ledger that outlives the process, a new task starts a new session.
    verify: identifies(2),
    tell: (world) => `${world.discord.counts.identifies} IDENTIFYs in all, ${share(world)}`,
  },
  {
    name: "deploy, sessions kept",
    fault: "SIGTERM in the middle of traffic, then the next task, with a ledger that outlives both",
    names: [
      { event: "bot.draining", fields: { signal: "SIGTERM", keepSessions: "yes" } },
      { event: "session.resumed", fields: { shard: 0 } },
    ],
    quietMs: 2 * MINUTE_MS,
    exceptions: fileLedger,
    inflict: (world) => world.replaceBot(),
    lastsMs: 6 * MINUTE_MS,
    verify(world) {
      const answers = world.discord.counts.rest.messagesCreated;
      const asked = world.asked();
      // The last question may still be on its way.
      const lost = answers >= asked - 1 && answers <= asked ? [] : [`${asked} questions, but ${answers} answers`];
      return [...identifies(1)(world), ...lost];
    },
    tell: (world) => `${world.discord.counts.identifies} IDENTIFY in all, ${share(world)}`,
  },
  {
    name: "dead man",
    fault: "the bot's process stands still and says nothing",
    alarm: "BotSilent",
    always: true,
    quietMs: 2 * MINUTE_MS,
    inflict(world) {
      // A process that stands still sends no heartbeat, as the simulated Discord would otherwise hold against the bot.
      world.discord.faults.gateway.excuse("heartbeat.late");
      world.bot().signal("SIGSTOP");
    },
    lift: (world) => world.bot().signal("SIGCONT"),
  },
  {
    name: "handlers too slow",
    fault: "handlers hang, and events wait behind them for more than five minutes",
    alarm: "HandlersShed",
    names: [{ event: "dispatch.shed", fields: { type: "MESSAGE_CREATE", reason: /waited/ } }],
    quietMs: MINUTE_MS,
    firesMs: 14 * MINUTE_MS,
    exceptions: module("hanging.ts", "the bundled bot's handlers do not hang"),
    inflict: (world) => world.usersAsk("hang"),
    lift(world) {
      world.usersAsk("how are you");
      world.say("enough");
    },
    verify: identifies(1),
  },
  {
    name: "errors unexplained",
    fault: "a defect in the bot's module: every handler throws",
    alarm: "UnexplainedFault",
    through: ["LogErrors"],
    names: [{ event: "handler.failed", fields: { type: "MESSAGE_CREATE", error: /RangeError: Division by zero/ } }],
    quietMs: MINUTE_MS,
    exceptions: module("throwing.ts", "the bundled bot's handlers do not throw"),
    inflict: (world) => world.usersAsk("divide by zero"),
    lift: (world) => world.usersAsk("how are you"),
    verify: identifies(1),
  },
  {
    name: "ledger unreachable",
    fault: "the ledger's directory is gone and cannot be made anew",
    alarm: "LedgerUnreachable",
    names: [{ event: "ledger.unreachable", fields: { error: /ledger\S* is un(read|writ)able \(ENOTDIR\)/ } }],
    quietMs: MINUTE_MS,
    exceptions: fileLedger,
    inflict({ directory }) {
      const ledger = path.join(directory, "ledger");
      renameSync(ledger, `${ledger}.away`);
      writeFileSync(ledger, "in the way");
    },
    lift({ directory }) {
      const ledger = path.join(directory, "ledger");
      rmSync(ledger);
      mkdirSync(ledger);
    },
    verify: identifies(1),
  },
  {
    name: "metric lines broken",
    fault: "something prints metric lines that CloudWatch cannot read",
    alarm: "MetricLinesBroken",
    quietMs: MINUTE_MS,
    exceptions: module("garbles.ts", "the bundled bot prints no broken line"),
    inflict: (world) => world.usersAsk("something garbled"),
    lift: (world) => world.usersAsk("how are you"),
    verify: identifies(1),
  },
];
