// The boundary to the peers: they are installed apart and untyped here, so every use is checked as it happens.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { PEERS_BASE } from "../install.ts";

/** A peer's module, from where the peers are installed. */
export async function loadPeer(name: string): Promise<unknown> {
  const file = createRequire(PEERS_BASE).resolve(name);
  return await import(pathToFileURL(file).href);
}

/** A member of a peer's object or module; a CommonJS module's exports may stand under `default`. */
export function member(target: unknown, name: string): unknown {
  if ((typeof target !== "object" && typeof target !== "function") || target === null) {
    throw new Error(`${name} was looked for on ${String(target)}: the peer has another shape than this version's`);
  }
  const found: unknown = Reflect.get(target, name);
  if (found !== undefined || !("default" in target)) return found;
  const { default: exports } = target;
  if ((typeof exports !== "object" && typeof exports !== "function") || exports === null) return undefined;
  return Reflect.get(exports, name);
}

/** `target.name(...)`. */
export function call(target: unknown, name: string, ...given: unknown[]): unknown {
  const method = member(target, name);
  if (typeof method !== "function") throw new Error(`${name} is no function in this version of the peer`);
  const result: unknown = Reflect.apply(method, target, given);
  return result;
}

/** `new target.name(...)`. */
export function construct(target: unknown, name: string, ...given: unknown[]): unknown {
  const type = member(target, name);
  if (typeof type !== "function") throw new Error(`${name} is no class in this version of the peer`);
  const instance: unknown = Reflect.construct(type, given);
  return instance;
}
