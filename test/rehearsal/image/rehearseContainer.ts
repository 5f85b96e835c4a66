// `npm start -- --container`: builds the image and rehearses the container itself, as restricted as it is declared.

import { randomUUID } from "node:crypto";
import { createServer } from "node:net";
import path from "node:path";
import { declareProgram, type StackName } from "../../infra/program.ts";
import { type Container, declaredContainer } from "../container.ts";
import type { Drill } from "../drill.ts";
import { DRILLS } from "../drills.ts";
import { rehearse } from "../rehearse.ts";
import { closingTable } from "../report.ts";
import { REHEARSED_TOKEN } from "../world.ts";
import { containerLaunch } from "./containerBot.ts";
import { compressedSize, docker, noEngine } from "./docker.ts";

const ROOT = path.resolve(import.meta.dirname, "../../..");
const IMAGE = "mooring-rehearsal";
/** What a start on Fargate may have to pull at most. */
const MOST_MEGABYTES = 70;

/** Resolves to the exit code: 2 without an engine, 1 when something does not hold. */
export async function rehearseContainer(stack: StackName, rate: number, signal: AbortSignal): Promise<number> {
  const reason = await noEngine();
  if (reason !== undefined) {
    console.log(`No Docker engine answers (${reason}). Start one, or rehearse without the container: npm start`);
    return 2;
  }
  const program = await declareProgram({ stack, secrets: { discordToken: REHEARSED_TOKEN } });
  const container = declaredContainer(program);
  console.log(`Building ${IMAGE} from bot/Dockerfile ...`);
  // The host's network: where an engine has no network of its own, npm ci still finds its registry.
  const built = await docker("build", "--network", "host", "--file", `${ROOT}/bot/Dockerfile`, "--tag", IMAGE, ROOT);
  if (built.code !== 0) {
    console.log(`${built.output.split("\n").slice(-20).join("\n")}\nThe image does not build.`);
    return 1;
  }
  const megabytes = Math.round((await compressedSize(IMAGE)) / 1e5) / 10;
  console.log(`Built; ${megabytes} MB compressed, base included (at most ${MOST_MEGABYTES} MB).`);
  if (megabytes > MOST_MEGABYTES) {
    console.log("The image is too large: docker history shows which layer is.");
    return 1;
  }

  const name = `rehearsal-${randomUUID()}`;
  const drill = containerDrill();
  const outcomes = await rehearse(program, [{ drill, rate }], 1, signal, {
    launch: containerLaunch(IMAGE, container, name),
    statusPort: await freePort(),
    inspect: () => inspectContainer(name, container),
  });
  console.log(`\n${closingTable(program, outcomes, DRILLS)}`);
  return outcomes.every(({ problems }) => problems.length === 0) ? 0 : 1;
}

/** The edge ban, from start to SIGTERM: it passes through everything that a container could get in the way of. */
function containerDrill(): Drill {
  const ban = DRILLS.find(({ name }) => name === "edge ban");
  if (ban === undefined) throw new Error("there is no drill named edge ban");
  return {
    ...ban,
    name: "container",
    names: [
      ...(ban.names ?? []),
      { event: "bot.draining", fields: { signal: "SIGTERM" } },
      { event: "bot.stopped", fields: { exitCode: 0 } },
    ],
  };
}

/** What does not hold of the running container, one sentence each. */
async function inspectContainer(name: string, container: Container): Promise<readonly string[]> {
  const inside = (...command: readonly string[]) => docker("exec", name, ...command);
  const uid = await inside("node", "-p", "process.getuid()");
  const write = "fs.writeFileSync('/app/written', ''); fs.writeFileSync('/tmp/written', '')";
  const written = await inside("node", "-e", write);
  const health = await inside(...container.healthCommand);
  const inspected = await docker("inspect", "--format", "{{.Config.StopSignal}} {{.HostConfig.ReadonlyRootfs}}", name);
  return [
    ...(uid.code === 0 && uid.output === container.user.split(":")[0] ? [] : [`the bot runs as uid ${uid.output}`]),
    ...(uid.output === "0" ? ["the bot runs as root"] : []),
    ...(written.code !== 0 && /EROFS/.test(written.output) ? [] : [`the root is not read-only: ${written.output}`]),
    ...(health.code === 0 ? [] : [`the health command ended with ${health.code}: ${health.output}`]),
    ...(inspected.output === "SIGTERM true" ? [] : [`stop signal and read-only root are ${inspected.output}`]),
  ];
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject).listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
