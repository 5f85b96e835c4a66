// Running a twin in its own tests: built from declared resources, fed by the minute, read back as short lines.

import { ACCOUNT, MINUTE, metricLine, REGION, START } from "./fixtures.ts";
import { createTwin, type DeclaredResource, type Twin } from "./twin.ts";

export const twinOf = (resources: readonly DeclaredResource[], ingestLagMs = 0): Twin =>
  createTwin({ resources, region: REGION, account: ACCOUNT, ingestLagMs, createdAt: START });

/** "minutes alarm from>to". */
export const changes = (twin: Twin): string[] =>
  twin.transitions.map(({ alarm: name, from, to, at }) => `${(at - START) / MINUTE} ${name} ${from}>${to}`);
export const pages = (twin: Twin): string[] =>
  twin.notifications.map(
    ({ alarm: name, state, at, delivered }) => `${(at - START) / MINUTE} ${name} ${state} ${delivered}`,
  );

/** A line with this many 429s, stamped and received that many minutes and 1 s after the start. */
export function limited(twin: Twin, minute: number, count: number): void {
  const at = START + minute * MINUTE + 1000;
  twin.receive(metricLine({ RateLimited: count }, at), at);
}
