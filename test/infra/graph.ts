// Looking things up in the declared graph: by type, by what must stand before, and the container in its task definition.

import type { DeclaredProgram, RecordedResource } from "./program.ts";

/** All of a type, in the order of their registration. */
export const ofType = (program: DeclaredProgram, type: string): readonly RecordedResource[] =>
  program.resources.filter((resource) => resource.type === type);

/** The only one of its type. */
export function one(program: DeclaredProgram, type: string): RecordedResource {
  const [found, ...more] = ofType(program, type);
  if (found === undefined || more.length > 0) throw new Error(`${more.length + (found ? 1 : 0)} of ${type}`);
  return found;
}

/** Everything that must exist before `resource`, near and far. */
export function precedents(program: DeclaredProgram, resource: RecordedResource): ReadonlySet<string> {
  const byUrn = new Map(program.resources.map((each) => [each.urn, each]));
  const found = new Set<string>();
  const walk = (each: RecordedResource): void => {
    for (const urn of each.options.dependsOn) {
      const next = byUrn.get(urn);
      if (next === undefined || found.has(urn)) continue;
      found.add(urn);
      walk(next);
    }
  };
  walk(resource);
  return found;
}

export interface Container {
  readonly [key: string]: unknown;
  readonly environment: readonly { readonly name: string; readonly value: string }[];
  readonly secrets: readonly { readonly name: string; readonly valueFrom: string }[];
}

/** The one container of the one task definition. */
export function container(program: DeclaredProgram): Container {
  const definitions: unknown = JSON.parse(
    String(one(program, "aws:ecs/taskDefinition:TaskDefinition").inputs["containerDefinitions"]),
  );
  if (!Array.isArray(definitions) || definitions.length !== 1) throw new Error("one container is expected");
  return definitions[0];
}
