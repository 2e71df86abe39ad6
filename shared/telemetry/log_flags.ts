/** `--log` and `--log-level`, the same in every command that serves. @module */

import { Option } from "commander";
import { LOG_FORMATS, type LogFormat } from "./log_line.ts";

export const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;

export interface LogFlags {
  readonly log: LogFormat;
  readonly logLevel?: typeof LOG_LEVELS[number];
}

export function logOptions(): Option[] {
  return [
    new Option("--log <format>", "lines on standard error: text, or json for programs")
      .choices(LOG_FORMATS).default("text"),
    new Option(
      "--log-level <level>",
      "least level that is logged; info has a line per session (default: warning, and notes for people)",
    ).choices(LOG_LEVELS),
  ];
}
