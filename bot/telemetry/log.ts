// Log lines: pino's JSON on stdout, one object a line, written before the call returns.

import pino from "pino";
import { EVENTS, type EventFields, type EventLevel, type EventName, type LogEvent } from "../../shared/events.ts";
import type { Clock } from "../clock.ts";

/** pino's levels, quietest last. */
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

/** Takes one whole line with its newline, and has written it when it returns. */
export type WriteLine = (line: string) => void;

export interface Log {
  /** One structured event: `event` and exactly its declared fields, null where absent, and no `msg`. */
  event<Name extends EventName>(name: Name, fields: EventFields<Name>): void;
  /** A free line: `msg` and the given fields. */
  line(level: "debug" | "info" | "warn" | "error", message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Lines of these levels count as errors. */
export const isError = (level: EventLevel | "debug"): boolean => level === "error" || level === "fatal";

// What the log writes itself; a free line's field of the same name is set apart, or it could pose as an event.
const RESERVED = new Set(["level", "time", "event", "msg", "_aws"]);

export function createLog(options: {
  readonly clock: Clock;
  readonly level: LogLevel;
  readonly write: WriteLine;
}): Log {
  const { clock, level, write } = options;
  const logger = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date(clock.wall()).toISOString()}"`,
      formatters: { level: (word) => ({ level: word }) },
    },
    { write },
  );
  return {
    event(name, fields) {
      const declared: LogEvent = EVENTS[name];
      const given = new Map<string, unknown>(Object.entries(fields));
      const line: Record<string, unknown> = { event: name };
      for (const field of Object.keys(declared.fields)) line[field] = given.get(field) ?? null;
      logger[declared.level](line);
    },
    line(lineLevel, message, fields = {}) {
      const line: Record<string, unknown> = {};
      for (const [name, value] of Object.entries(fields))
        line[RESERVED.has(name) ? `${name}_` : name] = printable(value);
      logger[lineLevel](line, message);
    },
  };
}

/** An error as JSON shows nothing of it: its name, kind, message, stack and causes. */
function printable(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const { name, message, stack, cause } = value;
  const kind = "kind" in value ? value.kind : undefined;
  return { name, kind, message, stack, cause: printable(cause) };
}
