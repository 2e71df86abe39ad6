/** What is known about one setting of a picture: the form of a row in the table of settings. @module */

import type { HelpGroup } from "../../shared/terminal/help_groups.ts";
import type { ValueType } from "./value_type.ts";

export interface Setting<T> {
  /** Reads and checks its values, wherever they are written. */
  readonly type: ValueType<T>;
  /**
   * What holds where neither flag nor ensemble file says, nor the usual preset of a new command line. A job record that lacks the setting means this value, too: to
   * change it is to change what older records say, unless `isAlwaysRecorded`.
   */
  readonly default?: T;
  /** The default as the help tells it. @default the default itself; none for an empty text */
  readonly defaultText?: string;
  /** What stands behind the flag in the help: `<n>`. */
  readonly argument: string;
  readonly help: string;
  readonly group: HelpGroup;
  /** Whether the short help has it. @default false */
  readonly isCommon?: boolean;
  /** Further flags, as users of other tools type them, without dashes; no help names them. */
  readonly aliases?: readonly string[];
  /** Flags that together say the same, without dashes, in the order of their values in `768x512`; no help names them. */
  readonly parts?: readonly string[];
  /**
   * Whether a job record without it is damaged. Settings that came after the first record leave this out: records of
   * their default are then the same as before they came. @default false
   */
  readonly isAlwaysRecorded?: boolean;
  /** Its key in what pictures say about themselves; false where they do not follow from it. @default its name */
  readonly metadataKey?: string | false;
  /** Fields of requests to workers that follow from it alone: what a worker says of them is said of it. */
  readonly workerFields?: readonly string[];
}

export interface DefaultedSetting<T> extends Setting<T> {
  readonly default: T;
}

/** Settings by name, as code spells it: `clipSkip`. */
export type SettingsTable = Readonly<Record<string, Setting<unknown>>>;

type DefaultedNames<Table extends SettingsTable> = {
  [Name in keyof Table]: Table[Name] extends DefaultedSetting<unknown> ? Name : never;
}[keyof Table];

type ValueOf<Row> = Row extends Setting<infer T> ? T : never;

/** A value for each row: those with a default always have one. */
export type SettingValues<Table extends SettingsTable> =
  & { readonly [Name in DefaultedNames<Table>]: ValueOf<Table[Name]> }
  & { readonly [Name in Exclude<keyof Table, DefaultedNames<Table>>]?: ValueOf<Table[Name]> };

type Row<Form extends Setting<unknown>> = Omit<Form, "type">;

/** A row of the table. */
export function setting<T>(
  type: ValueType<T>,
  row: Row<DefaultedSetting<NoInfer<T>>>,
): DefaultedSetting<T>;
export function setting<T>(type: ValueType<T>, row: Row<Setting<NoInfer<T>>>): Setting<T>;
export function setting<T>(type: ValueType<T>, row: Row<Setting<T>>): Setting<T> {
  return { type, ...row };
}

/** `--clip-skip` of `clipSkip`. */
export function flagOf(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `clip_skip` of `clipSkip`: how an ensemble file spells it. */
export function fileKeyOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
