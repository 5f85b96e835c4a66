// The container's health check: exits 0 when GET /live on the status port says 200 in time, else 1. Imports nothing of
// the bot, so that it stays quick and a broken bot cannot break it.

import { get } from "node:http";

// Below the 5 s that ECS waits by default, so that a hang is reported by us and not cut off.
const DEADLINE_MS = 3_500;

const port = process.env["STATUS_PORT"] || "8080";
const address = `http://127.0.0.1:${port}/live`;

function end(exitCode: 0 | 1, reason: string): never {
  console.log(`${address}: ${reason}`);
  process.exit(exitCode);
}

setTimeout(() => end(1, `no answer within ${DEADLINE_MS} ms`), DEADLINE_MS);
try {
  get(address, { agent: false }, ({ statusCode }) => {
    end(statusCode === 200 ? 0 : 1, `status ${statusCode}`);
  }).on("error", (error) => end(1, error.message));
} catch (error) {
  end(1, `${String(error)}; set STATUS_PORT to the bot's status port`);
}
