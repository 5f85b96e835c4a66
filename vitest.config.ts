// How the tests run: plain Node, two workers; first the files that start processes, which mostly wait, then all others.

import path from "node:path";
import { defineConfig } from "vitest/config";

// Inherited by every worker, and by the bots that tests start: most of what a process costs is reading the same modules.
process.env["NODE_COMPILE_CACHE"] ??= path.resolve("node_modules/.cache/mooring-test-compiled");

/** Bots as processes of their own. */
const PROCESSES = [
  "test/{face,handover,rehearsal}/**/*.test.ts",
  "test/bot/chat/{crowd,example,inDiscord,onTable}.test.ts",
];

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    // Worlds of one file that run side by side.
    maxConcurrency: 8,
    // Sockets on loopback and Pulumi's first import take seconds on a busy machine; a hang is what these limits catch.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Vitest takes them by name. The quick ones share a process: none of them leaves anything behind for the next.
    projects: [
      { extends: true, test: { name: "processes", include: PROCESSES } },
      { extends: true, test: { name: "units", include: ["test/**/*.test.ts"], exclude: PROCESSES, isolate: false } },
    ],
  },
});
