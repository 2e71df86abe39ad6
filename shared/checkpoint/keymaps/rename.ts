/**
 * Rules that rename keys: the first pattern that matches decides. Key maps are lists of such rules, one
 * line per rule (`docs/spec.md`, "Single files").
 *
 * @module
 */

export type RenameRule = readonly [
  pattern: RegExp,
  replacement: string | ((...groups: string[]) => string),
];

/** The key after the first rule whose pattern matches, or `undefined` if none does. */
export function renameFirst(key: string, rules: readonly RenameRule[]): string | undefined {
  for (const [pattern, replacement] of rules) {
    const match = pattern.exec(key);
    if (match === null) continue;
    if (typeof replacement === "string") return key.replace(pattern, replacement);
    return replacement(...match.slice(1)) + key.slice(match.index + match[0].length);
  }
  return undefined;
}

/** One rule per prefix. */
export function prefixRules(prefixes: Readonly<Record<string, string>>): RenameRule[] {
  return Object.entries(prefixes).map(([from, to]) => [new RegExp(`^${escaped(from)}`), to]);
}

/** A name as a pattern that matches it alone. */
export function escaped(name: string): string {
  return name.replaceAll(".", "\\.");
}

/** The table read from right to left. */
export function invert(table: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(table).map(([from, to]) => [to, from]));
}
