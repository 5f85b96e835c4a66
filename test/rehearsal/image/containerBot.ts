// The bot in a container of its own, restricted as the task definition declares, on this machine's network.

import { spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { atTheEnd, follow, type Launch } from "../botProcess.ts";
import type { Container } from "../container.ts";
import { docker } from "./docker.ts";

/** What the engine itself needs to end a container, on a busy machine, real seconds. */
const ENGINE_SECONDS = 20;

/** @param name the container's, for whoever wants to look into it. */
export function containerLaunch(image: string, container: Container, name = `rehearsal-${randomUUID()}`): Launch {
  return ({ environment, onLine }) => {
    const child = spawn(
      "docker",
      [
        ...["run", "--rm", "--name", name, "--network", "host", "--user", container.user],
        ...(container.readonlyRoot ? ["--read-only"] : []),
        ...(container.init ? ["--init"] : []),
        ...container.droppedCapabilities.flatMap((capability) => ["--cap-drop", capability]),
        // By name only: a value on the command line, the token's too, could be read by every user of the machine.
        ...Object.keys(environment).flatMap((variable) => ["--env", variable]),
        image,
      ],
      { env: { ...process.env, ...environment }, stdio: ["ignore", "pipe", "pipe"] },
    );
    const over = atTheEnd(() => {
      // First whoever might still be about to start it.
      child.kill("SIGKILL");
      spawnSync("docker", ["rm", "--force", name], { stdio: "ignore" });
    });
    const { ended, complaints } = follow(child, over, onLine);
    return {
      pid: child.pid ?? -1,
      ended,
      complaints,
      signal: (signal) => void docker("kill", "--signal", signal, name),
      async stop() {
        // With the image's own stop signal; no clock runs fast for the engine.
        await docker("stop", "--time", String(container.stopTimeoutSeconds + ENGINE_SECONDS), name);
        return ended;
      },
    };
  };
}
