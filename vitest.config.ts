// How the tests run: plain Node, a file at a time in each of two workers, no test slower than its named limit.
import { defineConfig } from "vitest/config";

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
