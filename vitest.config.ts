// How the tests run: plain Node, a file at a time in each of two workers, no test slower than its named limit.
import path from "node:path";
import { defineConfig } from "vitest/config";

// Inherited by every worker, and by the bots that tests start: most of what a process costs is reading the same modules.
process.env["NODE_COMPILE_CACHE"] ??= path.resolve("node_modules/.cache/mooring-test-compiled");

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    // Sockets on loopback and Pulumi's first import take seconds on a busy machine; a hang is what these limits catch.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
