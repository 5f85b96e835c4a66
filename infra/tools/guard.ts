// The guard's judgement: which previews would take the address, the NAT or the way out away.

/** A preview may not go ahead; each reason names the resource, the operation and why. */
export interface Verdict {
  readonly reasons: readonly string[];
  /** NATs that go because another slot's take over, if that is what the preview is. */
  readonly rotated: readonly string[];
}

/** Operations of `pulumi preview --json` that leave what stands in place. */
const HARMLESS = new Set([
  "same",
  "create",
  "update",
  "read",
  "read-replacement",
  "refresh",
  "import",
  "import-replacement",
  "remove-pending-replace",
]);
const DESTRUCTIVE = new Set([
  "delete",
  "replace",
  "create-replacement",
  "delete-replaced",
  "discard-replaced",
  "read-discard",
]);

const EIP = "aws:ec2/eip:Eip";
const ROUTE = "aws:ec2/route:Route";
/** What carries traffic out: a gateway, or an instance with its address. */
const NATS = new Set([
  "aws:ec2/natGateway:NatGateway",
  "aws:ec2/instance:Instance",
  "aws:ec2/eipAssociation:EipAssociation",
]);

interface Step {
  readonly op: string;
  readonly type: string;
  readonly name: string;
  readonly destination: unknown;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Where a route leads, by either state; undefined when neither says. */
function destination(step: Readonly<Record<string, unknown>>): unknown {
  for (const state of [step["oldState"], step["newState"]]) {
    const inputs = isRecord(state) ? state["inputs"] : undefined;
    if (isRecord(inputs) && inputs["destinationCidrBlock"] !== undefined) return inputs["destinationCidrBlock"];
  }
  return undefined;
}

/** A step, or the reason why it cannot be read. */
function readStep(step: unknown, place: number): Step | string {
  const at = `step ${place + 1}`;
  if (!isRecord(step)) return `${at} is not an object`;
  const { op, urn } = step;
  if (typeof op !== "string" || typeof urn !== "string") return `${at} has no op or no urn`;
  if (!HARMLESS.has(op) && !DESTRUCTIVE.has(op))
    return `${at} has the operation "${op}", which this guard does not know`;
  // urn:pulumi:<stack>::<project>::<parent type>$<type>::<name>
  const [, , types, name] = urn.split("::");
  const type = types?.split("$").at(-1);
  if (type === undefined || name === undefined) return `${at} has "${urn}", which is no urn`;
  return { op, type, name, destination: destination(step) };
}

/**
 * Judges one preview, given as the parsed JSON of `pulumi preview --json`. Refused: every destructive operation on an
 * Elastic IP, a NAT or a default route, and everything that cannot be read. The one exception is a rotation: a NAT may
 * be deleted when the preview creates one of another slot in the same zone and moves that zone's default route in place.
 */
export function judge(preview: unknown): Verdict {
  if (!isRecord(preview) || !Array.isArray(preview["steps"])) {
    return { reasons: ["this is not the output of `pulumi preview --json`: it has no steps"], rotated: [] };
  }
  const reasons: string[] = [];
  const steps: Step[] = [];
  preview["steps"].forEach((given: unknown, place) => {
    const step = readStep(given, place);
    if (typeof step === "string") reasons.push(step);
    else steps.push(step);
  });
  const rotated: string[] = [];
  for (const step of steps) {
    if (!DESTRUCTIVE.has(step.op)) continue;
    const { op, type, name } = step;
    if (type === EIP) reasons.push(`${op} of the Elastic IP ${name}: a released address is gone for good`);
    else if (type === ROUTE && (step.destination === "0.0.0.0/0" || step.destination === undefined)) {
      reasons.push(`${op} of the route ${name}: nothing gets out without it`);
    } else if (NATS.has(type)) {
      if (op === "delete" && hasSuccessor(step, steps)) rotated.push(name);
      else reasons.push(`${op} of the NAT ${name}: nothing gets out meanwhile, and no other slot takes over`);
    }
  }
  return { reasons, rotated };
}

/** Whether another slot's NAT of the same type and zone is created, and the zone's route moved to it in place. */
function hasSuccessor(gone: Step, steps: readonly Step[]): boolean {
  const parts = /^(.*)-nat-([a-z0-9]+)-([a-z])$/.exec(gone.name);
  if (parts === null) return false;
  const [, stack = "", slot = "", zone = ""] = parts;
  const successor = new RegExp(`^${stack}-nat-(?!${slot}-)[a-z0-9]+-${zone}$`);
  return (
    steps.some(({ op, type, name }) => op === "create" && type === gone.type && successor.test(name)) &&
    steps.some(({ op, type, name }) => op === "update" && type === ROUTE && name === `${stack}-private-default-${zone}`)
  );
}
