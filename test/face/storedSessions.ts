// What LEDGER=file: keeps of the sessions, as anybody may read it.

import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Line } from "./world.ts";

const fileIn = (home: string): string => path.join(home, "sessions.json");

export const isStored = (home: string): boolean => existsSync(fileIn(home));
export const stored = (home: string): Line[] => JSON.parse(readFileSync(fileIn(home), "utf8"));
