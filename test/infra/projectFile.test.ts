// Pulumi.yaml and the stack files against the CLI's own rules, and against the keys that the program reads.

import { describe, expect, it } from "vitest";
import { KEYS, keyNames, secretKeyNames } from "../../infra/settings/keys.ts";
import { asText, readProject, readYaml } from "./stackFile.ts";

const project = readProject();
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether a value of a YAML file is of a declared type, as the CLI checks it before a program runs. */
function fits(type: string, value: unknown): boolean {
  switch (type) {
    case "string":
      return typeof value === "string";
    case "integer":
      return Number.isInteger(value);
    case "boolean":
      return typeof value === "boolean";
    case "array":
      return Array.isArray(value);
    case "object":
      return isRecord(value);
    default:
      return false;
  }
}

describe("Pulumi.yaml", () => {
  const file = readYaml("Pulumi.yaml");

  it("starts the program as a file, types stripped by Node", () => {
    expect(file).toMatchObject({
      name: "mooring",
      main: "infra/index.ts",
      runtime: { name: "nodejs", options: { typescript: false } },
    });
  });

  it("declares exactly the plain keys that the program reads", () => {
    expect(Object.keys(project.keys).sort()).toEqual([...keyNames()].sort());
  });

  it("declares no secret: the CLI refuses a default on one and asks for a value without", () => {
    for (const key of secretKeyNames()) expect(project.keys).not.toHaveProperty(key);
    expect(JSON.stringify(file["config"])).not.toContain('"secret"');
  });

  it.each(keyNames())("declares %s with a type, a description and the default of the program", (key) => {
    const declared = project.keys[key];
    expect(declared?.type).toBe(KEYS[key].type);
    expect(declared?.description).toMatch(/^\S.{15,}/);
    expect(fits(KEYS[key].type, declared?.default)).toBe(true);
    expect(asText(declared?.default)).toBe(KEYS[key].fallback);
  });

  it("declares what lists hold", () => {
    const config = isRecord(file["config"]) ? file["config"] : {};
    for (const [key, declared] of Object.entries(config)) {
      if (isRecord(declared) && declared["type"] === "array")
        expect(declared["items"], key).toEqual({ type: "string" });
    }
  });
});

describe.each(["dev", "staging", "prod"])("Pulumi.%s.yaml", (stack) => {
  const file = readYaml(`Pulumi.${stack}.yaml`);
  const config = isRecord(file["config"]) ? file["config"] : {};

  it("holds configuration alone: no salt, no provider of secrets; or, in a deployed copy, what a KMS key encrypted", () => {
    const { secretsprovider, ...rest } = file;
    if (secretsprovider === undefined) {
      expect(Object.keys(file)).toEqual(["config"]);
      expect(JSON.stringify(file)).not.toMatch(/secure|encryption|secretsprovider/);
      return;
    }
    expect(secretsprovider).toMatch(/^awskms:\/\//);
    expect(Object.keys(rest).sort()).toEqual(["config", "encryptedkey"]);
  });

  it("names its region and tags, and otherwise only declared keys of their types", () => {
    for (const [key, value] of Object.entries(config)) {
      const [namespace, name = ""] = key.split(":");
      if (namespace === "aws") {
        expect(["region", "defaultTags", "allowedAccountIds"]).toContain(name);
        continue;
      }
      if (isRecord(value) && "secure" in value) {
        expect(secretKeyNames(), key).toContain(name);
        continue;
      }
      expect(namespace, key).toBe(project.name);
      expect(fits(project.keys[name]?.type ?? "", value), key).toBe(true);
    }
    expect(config["aws:region"]).toBe("us-east-1");
    expect(config["aws:defaultTags"]).toEqual({ tags: { Project: "mooring", Stack: stack } });
  });
});
