// `npm run guard < preview.json`: exit 0 lets a deploy go ahead, exit 1 says what it would take away.

import { text } from "node:stream/consumers";
import { judge } from "./guard.ts";

function parsed(given: string): unknown {
  try {
    return JSON.parse(given);
  } catch {
    return undefined;
  }
}

if (import.meta.main) {
  const { reasons, rotated } = judge(parsed(await text(process.stdin)));
  for (const name of rotated) console.log(`rotation: ${name} goes, another slot takes over`);
  for (const reason of reasons) console.error(`refused: ${reason}`);
  console.log(
    reasons.length === 0 ? "guard: address, NAT and default routes stay" : `guard: ${reasons.length} reason(s) to stop`,
  );
  process.exitCode = reasons.length === 0 ? 0 : 1;
}
