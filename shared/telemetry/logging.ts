/**
 * The log of a process that serves, on standard error. Code that logs asks LogTape for a logger, and nothing is written
 * unless a command has started the log: a worker inside another program is silent.
 *
 * No line may have a prompt, a token or a secret in it.
 *
 * @module
 */

import { configureSync, getLogger, type Logger, type LogRecord } from "@logtape/logtape";
import { stderrTerminal } from "../terminal/terminal.ts";
import type { LogFlags } from "./log_flags.ts";
import { type LogFormat, logLine, setLogFormat } from "./log_line.ts";

/** What people want to read while nothing is wrong, such as which device was chosen. */
const NOTES = "notes";

/** Messages for people, which are lines of the log, too. */
export interface Notes {
  note(text: string): void;
  warn(text: string): void;
}

export interface LoggingOptions {
  /** Whether notes are written where no level is asked for. @default true */
  readonly hasNotes?: boolean;
}

/** @returns the notes of this role, such as `worker` */
export function startLogging(
  role: string,
  { log, logLevel }: LogFlags,
  { hasNotes = true }: LoggingOptions = {},
): Notes {
  const terminal = stderrTerminal();
  setLogFormat(log);
  const level = logLevel ?? "warning";
  configureSync({
    reset: true,
    sinks: { stderr: (record) => terminal.write(line(record, log)) },
    loggers: [
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["stderr"] },
      { category: "tutti", lowestLevel: level, sinks: ["stderr"] },
      {
        category: ["tutti", role, NOTES],
        lowestLevel: logLevel === undefined && hasNotes ? "info" : level,
        // Inherited ones would go by the level of whom they are inherited from.
        sinks: ["stderr"],
        parentSinks: "override",
      },
    ],
  });
  const logger = getLogger(["tutti", role, NOTES]);
  return {
    note: (text) => logger.info`${text}`,
    warn: (text) => logger.warn`${text}`,
  };
}

/** Of a role of this process. */
export function roleLogger(role: string): Logger {
  return getLogger(["tutti", role]);
}

function line(
  { level, category, message, properties, timestamp }: LogRecord,
  format: LogFormat,
): string {
  const isNote = category.at(-1) === NOTES && level === "info" && format === "text";
  return logLine({
    level,
    logger: category.filter((part) => part !== NOTES).join("."),
    message: message.map(String).join(""),
    time: timestamp,
    fields: properties,
    isNote,
  });
}
