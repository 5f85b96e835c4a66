// What must hold between settings that are each well-formed: every rule names the key, its value and the fix.

import type { KeyName, SecretKeyName, Values } from "./keys.ts";

/** What is wrong with one key; `problem` completes "KEY ..." and ends with the fix. */
export interface SettingsProblem {
  readonly key: string;
  readonly problem: string;
}

/** Memory sizes of a Fargate task in MiB by CPU units (AWS: Amazon ECS task CPU and memory on Fargate). */
const FARGATE_MEMORY: ReadonlyMap<number, { least: number; most: number; step: number }> = new Map([
  [256, { least: 512, most: 2048, step: 512 }],
  [512, { least: 1024, most: 4096, step: 1024 }],
  [1024, { least: 2048, most: 8192, step: 1024 }],
  [2048, { least: 4096, most: 16_384, step: 1024 }],
  [4096, { least: 8192, most: 30_720, step: 1024 }],
  [8192, { least: 16_384, most: 61_440, step: 4096 }],
  [16_384, { least: 32_768, most: 122_880, step: 8192 }],
]);

/** Whether Fargate runs a task of this size; 256 units know 512, 1024 and 2048 MiB alone. */
export function isFargateSize(cpu: number, memory: number): boolean {
  const sizes = FARGATE_MEMORY.get(cpu);
  if (sizes === undefined || memory < sizes.least || memory > sizes.most) return false;
  if (cpu === 256) return [512, 1024, 2048].includes(memory);
  return memory % sizes.step === 0;
}

// RFC 2606 keeps these for examples: an address there is a placeholder that was never filled in, and pages nobody.
const EXAMPLE_ADDRESS = /@(?:[^@]*\.)?(?:example\.(?:com|net|org)|example|invalid|test|localhost)$/i;

/** AMI names and Graviton instance types tell their architecture: m7g, t4g, c8gn have a g behind the generation. */
const isGraviton = (instanceType: string): boolean => /^[a-z]+\d+g[a-z]*\./.test(instanceType);

type Report = (key: KeyName, problem: string) => void;

function checkZones(values: Values, report: Report): void {
  const { zones, natZones } = values;
  const strange = natZones.filter((zone) => !zones.includes(zone));
  if (strange.length > 0) {
    report("natZones", `has ${strange.join(", ")} while zones is ${zones.join(", ")}; name only zones that exist`);
  } else if (natZones.length !== 1 && natZones.length !== zones.length) {
    report(
      "natZones",
      `has ${natZones.length} of ${zones.length} zones; give one zone, or every zone, so that it is clear which address a task leaves by`,
    );
  }
}

function checkSlots(values: Values, report: Report): void {
  const { egressSlots, egressSlot, natZones } = values;
  const active = egressSlots[egressSlot];
  if (active === undefined) {
    report(
      "egressSlot",
      `is "${egressSlot}", which egressSlots does not list; choose ${Object.keys(egressSlots).join(" or ")}`,
    );
  } else if (active.quarantine !== undefined) {
    const { reason, since } = active.quarantine;
    report("egressSlot", `is "${egressSlot}", in quarantine since ${since} (${reason}); choose a clean slot`);
  }
  const seen = new Map<string, string>();
  for (const [name, slot] of Object.entries(egressSlots)) {
    if (slot.allocationId !== undefined && natZones.length !== 1) {
      report(
        "egressSlots",
        `has one address in ${name} for ${natZones.length} NAT zones; give allocationIds, one a zone`,
      );
    }
    if (slot.allocationIds !== undefined) {
      const given = Object.keys(slot.allocationIds).sort().join(", ");
      const needed = [...natZones].sort().join(", ");
      if (given !== needed) {
        report(
          "egressSlots",
          `has addresses for zones ${given} in ${name}, but NAT stands in ${needed}; give one a NAT zone`,
        );
      }
    }
    for (const id of [slot.allocationId, ...Object.values(slot.allocationIds ?? {})]) {
      if (id === undefined) continue;
      const first = seen.get(id);
      if (first !== undefined)
        report("egressSlots", `has ${id} in ${first} and in ${name}; each address has one place`);
      seen.set(id, name);
    }
  }
}

function checkNatInstance(values: Values, report: Report): void {
  if (values.natMode !== "instance") return;
  const arm = isGraviton(values.natInstanceType);
  const image = values.natImageName;
  if ((image.includes("arm64") && !arm) || (image.includes("x86_64") && arm)) {
    report(
      "natImageName",
      `is "${image}" while natInstanceType is ${values.natInstanceType}; use one architecture for both`,
    );
  }
}

function checkTask(values: Values, report: Report): void {
  const { cpu, memory, imageSource, imageDigest } = values;
  if (!isFargateSize(cpu, memory)) {
    const sizes = FARGATE_MEMORY.get(cpu);
    if (sizes === undefined) report("cpu", `is ${cpu}; Fargate has ${[...FARGATE_MEMORY.keys()].join(", ")} units`);
    else {
      report(
        "memory",
        `is ${memory} while cpu is ${cpu}; Fargate pairs it with ${sizes.least} to ${sizes.most} MiB, ${
          cpu === 256 ? "512, 1024 or 2048" : `in steps of ${sizes.step}`
        }`,
      );
    }
  }
  if (imageSource === "digest" && imageDigest === undefined) {
    report("imageDigest", "is empty while imageSource is digest; set the sha256:... of an image in the repository");
  }
  if (imageSource === "build" && imageDigest !== undefined) {
    report("imageDigest", `is ${imageDigest} while imageSource is build; set imageSource to digest, or empty this`);
  }
  if (values.ledger) return;
  if (values.rollout === "handoff") {
    report(
      "rollout",
      "is handoff while ledger is false; sessions must outlive the task, set ledger to true, or use recreate",
    );
  }
  if (values.tasks > 1) {
    report(
      "tasks",
      `is ${values.tasks} while ledger is false; tasks share shards by it, set ledger to true, or tasks to 1`,
    );
  }
}

function checkProxy({ egressProxyPort }: Values, secrets: ReadonlySet<SecretKeyName>, report: Report): void {
  if (egressProxyPort === 443 || secrets.has("egressProxy")) return;
  report(
    "egressProxyPort",
    `is ${egressProxyPort} while egressProxy is not set; set egressProxy, or take the port out`,
  );
}

function checkPaging(values: Values, secrets: ReadonlySet<SecretKeyName>, report: Report): void {
  for (const key of ["pageEmails", "notifyEmails"] as const) {
    for (const address of values[key]) {
      if (EXAMPLE_ADDRESS.test(address)) report(key, `has ${address}, an example; set an address that somebody reads`);
    }
  }
  if ((values.slackTeamId === undefined) !== (values.slackChannelId === undefined)) {
    report(
      values.slackTeamId === undefined ? "slackTeamId" : "slackChannelId",
      "is empty while the other half is set; set both or neither",
    );
  }
  if (values.production && values.pageEmails.length === 0 && !secrets.has("pagerUrl")) {
    report(
      "pageEmails",
      secrets.has("discordWebhookUrl")
        ? "is empty and pagerUrl is not set; a Discord webhook alone is silent when Discord blocks you, set one of them too"
        : "is empty and pagerUrl is not set; production must page somebody, set one of them",
    );
  }
}

function checkProduction(values: Values, report: Report): void {
  if (!values.production) return;
  if (values.spot) report("spot", "is true in production; AWS may stop Spot tasks at any time, set it to false");
  if (values.natMode === "instance")
    report("natMode", "is instance in production; one small machine has no stand-in, use gateway");
  if (values.disposable)
    report("disposable", "is true in production; it deletes images and secrets without a way back, set false");
  if (!values.protectAddresses)
    report("protectAddresses", "is false in production; a released address is gone for good, set true");
}

/** Every contradiction at once. `secrets` are the secret keys that are set. */
export function contradictions(values: Values, secrets: ReadonlySet<SecretKeyName>): readonly SettingsProblem[] {
  const problems: SettingsProblem[] = [];
  const report: Report = (key, problem) => problems.push({ key, problem });
  checkZones(values, report);
  checkSlots(values, report);
  checkNatInstance(values, report);
  checkTask(values, report);
  checkProxy(values, secrets, report);
  checkPaging(values, secrets, report);
  checkProduction(values, report);
  return problems;
}
