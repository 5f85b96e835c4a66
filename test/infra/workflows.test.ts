// The workflows on GitHub: no stored key, the least permission, nothing of a pull request's text in a shell.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { deployRoles } from "../../infra/tools/deployRoles.ts";
import { REPOSITORY_ROOT, readYaml } from "./stackFile.ts";

type Json = Readonly<Record<string, unknown>>;

const isJson = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);
const json = (value: unknown): Json => (isJson(value) ? value : {});
const list = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.filter(isJson) : []);

/** GitHub's way to write an expression. */
const expression = (text: string): string => ["$", "{{ ", text, " }}"].join("");

const DIRECTORY = ".github/workflows";
const files = readdirSync(join(REPOSITORY_ROOT, DIRECTORY));
const roles = deployRoles({ project: "mooring", account: "1", region: "r", repository: "o/n", bucket: "b" }, [
  "dev",
  "staging",
  "prod",
]);
const scripts = json(json(JSON.parse(readFileSync(join(REPOSITORY_ROOT, "package.json"), "utf8")))["scripts"]);

describe.each(files)("%s", (file) => {
  const text = readFileSync(join(REPOSITORY_ROOT, DIRECTORY, file), "utf8");
  const workflow = readYaml(join(DIRECTORY, file));
  const jobs = Object.values(json(workflow["jobs"])).map(json);
  const steps = jobs.flatMap((job) => list(job["steps"]));
  const runs = steps.map(({ run }) => run).filter((run) => typeof run === "string");

  it("says what it is for, and is named like its file", () => {
    expect(text).toMatch(/^# [A-Z]/);
    expect(`${workflow["name"]}.yml`).toBe(file);
  });

  it("may read the repository and nothing else, but for an identity token in a protected environment", () => {
    expect(workflow["permissions"]).toEqual({ contents: "read" });
    for (const job of jobs) {
      if (job["permissions"] === undefined) continue;
      expect(job["permissions"]).toEqual({ contents: "read", "id-token": "write" });
      expect(job["environment"]).toBeDefined();
      expect(job["if"]).toMatch(/^vars\.STATE_BUCKET != ''/);
    }
  });

  it("uses no secret, and no event that gives a stranger's code a token", () => {
    expect(text).not.toMatch(/secrets\.|access-key|pull_request_target|workflow_run/);
  });

  it("lets nothing that a stranger wrote into a shell", () => {
    for (const run of runs) expect(run).not.toContain("${{");
  });

  it("takes actions by version tag, and leaves no credential of git behind", () => {
    const used = steps.filter(({ uses }) => uses !== undefined);
    for (const { uses } of used) {
      expect(uses).toMatch(
        /^(actions\/(checkout|setup-node)|aws-actions\/configure-aws-credentials|docker\/setup-qemu-action)@v\d+$/,
      );
    }
    const checkouts = used.filter(({ uses }) => String(uses).startsWith("actions/checkout@"));
    expect(checkouts.length).toBe(jobs.length);
    for (const step of checkouts) expect(json(step["with"])["persist-credentials"]).toBe(false);
  });

  it("ends some time", () => {
    for (const job of jobs) expect(job["timeout-minutes"]).toBeGreaterThan(0);
  });

  it("runs commands that exist", () => {
    for (const [, name] of runs.join("\n").matchAll(/npm run (?:--silent )?(\w+)/g))
      expect(scripts).toHaveProperty(name ?? "");
  });

  it("assumes the role of its environment by GitHub's word alone", () => {
    for (const step of steps.filter(({ uses }) => String(uses).startsWith("aws-actions/"))) {
      expect(step["with"]).toEqual({
        "role-to-assume": expression("vars.AWS_ROLE"),
        "aws-region": expression("vars.AWS_REGION"),
      });
    }
  });

  it("asks the guard before it changes anything", () => {
    const up = runs.findIndex((run) => run.includes("pulumi up"));
    if (up < 0) return;
    expect(runs.findIndex((run) => run.includes("npm run --silent guard < preview.json"))).toBeLessThan(up);
    expect(runs.some((run) => run.includes("guard"))).toBe(true);
  });
});

describe("the workflows together", () => {
  const of = (file: string): Json => readYaml(join(DIRECTORY, file));
  const job = (file: string): Json => json(Object.values(json(of(file)["jobs"]))[0]);

  it("check, preview, deploy and look for drift", () => {
    expect(files.sort()).toEqual(["check.yml", "deploy.yml", "drift.yml", "preview.yml"]);
  });

  it("run in environments that bootstrap makes a role for", () => {
    const environments = roles.map(({ environment }) => environment);
    const inputs = json(json(json(of("deploy.yml")["on"])["workflow_dispatch"])["inputs"]);
    const options = json(inputs["stack"])["options"];
    expect(environments).toEqual(
      expect.arrayContaining(["preview", "drift", ...(Array.isArray(options) ? options : [])]),
    );
    expect(job("preview.yml")["environment"]).toBe("preview");
    expect(job("drift.yml")["environment"]).toBe("drift");
    expect(job("deploy.yml")["environment"]).toBe(expression("inputs.stack || 'dev'"));
  });

  it("never cut a deploy off", () => {
    expect(of("deploy.yml")["concurrency"]).toEqual({
      group: `deploy-${expression("inputs.stack || 'dev'")}`,
      "cancel-in-progress": false,
    });
  });

  it("preview no fork", () => {
    expect(job("preview.yml")["if"]).toContain("head.repo.full_name == github.repository");
  });

  it("are kept current, with packages and the image's base", () => {
    const updates = list(readYaml(".github/dependabot.yml")["updates"]);
    expect(updates.map((update) => [update["package-ecosystem"], update["directory"]])).toEqual([
      ["npm", "/"],
      ["docker", "/bot"],
      ["github-actions", "/"],
    ]);
  });
});
