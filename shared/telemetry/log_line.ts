/**
 * How a line of the log looks: for people with time and level before it, for programs one JSON object. What commands say
 * for their own moment (no logger) has no time, nor has a note.
 *
 * @module
 */

export const LOG_FORMATS = ["text", "json"] as const;
export type LogFormat = typeof LOG_FORMATS[number];

export interface LogEntry {
  readonly level: string;
  readonly message: string;
  /** Where it comes from, such as `tutti.worker`. */
  readonly logger?: string;
  /** Milliseconds since 1970. @default now */
  readonly time?: number;
  /** Facts for programs, in their order. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** For people a sentence of its own, without its level. */
  readonly isNote?: boolean;
}

let format: LogFormat = "text";

/** What this process writes from now on. */
export function setLogFormat(chosen: LogFormat): void {
  format = chosen;
}

export function isJsonLog(): boolean {
  return format === "json";
}

/** With the end of the line. */
export function logLine(entry: LogEntry): string {
  return `${isJsonLog() ? jsonLine(entry) : textLine(entry)}\n`;
}

function jsonLine({ level, message, logger, time = Date.now(), fields = {} }: LogEntry): string {
  return JSON.stringify({ time: new Date(time).toISOString(), level, logger, message, ...fields });
}

function textLine(
  { level, message, logger, time = Date.now(), fields = {}, isNote = false }: LogEntry,
): string {
  const facts = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${fact(value)}`);
  const when = logger === undefined ? "" : `${new Date(time).toISOString().slice(0, 19)}Z `;
  return `${isNote ? "" : `${when}${level}: `}${message}${facts.join("")}`;
}

/** What peers name themselves cannot end the line or pass for another fact. */
function fact(value: unknown): string {
  const text = String(value);
  return /^[\w.:/@+-]+$/.test(text) ? text : JSON.stringify(text);
}
