/**
 * Which file may import which: `proto -> shared -> {worker, coordinator} -> main.ts`, read "is
 * imported by". Worker and coordinator share no code but `shared/`, so either can change alone.
 *
 * @module
 */

/** A layer may import from itself (the same folder) and from lower ones. */
const LAYERS: Readonly<Record<string, number>> = {
  "deno.json": 0, // data: the version number
  "proto": 0,
  "shared": 1,
  "worker": 2,
  "coordinator": 2,
  "main.ts": 3,
};

/** Rooms of a role that know nothing of the role's other rooms. */
const ROOMS_APART = ["coordinator/merging"];

/** These may import anything; nothing of the program may import them. */
const OUTSIDE = ["test", "deploy"];

/** Names that say nothing about the question a file answers. */
const VAGUE_NAMES = ["utils.ts", "types.ts", "helpers.ts", "common.ts"];

const KNOWN_TOPS = [...Object.keys(LAYERS), ...OUTSIDE];

/** One import of a file: what it names and in which line. */
export interface Import {
  readonly specifier: string;
  readonly line: number;
}

function topOf(path: string): string {
  return path.split("/", 1)[0]!;
}

/**
 * Why `from` may not import `to`; undefined if it may.
 *
 * @param from path relative to the repository root
 * @param to as `from`
 */
export function importViolation(from: string, to: string): string | undefined {
  const [importer, imported] = [topOf(from), topOf(to)];
  if (to.startsWith("../")) return "leaves the repository";
  if (OUTSIDE.includes(importer)) return undefined;
  if (OUTSIDE.includes(imported)) return `${importer} must not import ${imported}`;
  const room = ROOMS_APART.find((room) => from.startsWith(`${room}/`));
  if (room !== undefined && importer === imported && !to.startsWith(`${room}/`)) {
    return `${room} must import no other room of ${importer}`;
  }
  const [upper, lower] = [LAYERS[importer], LAYERS[imported]];
  if (upper === undefined || importer === imported) return undefined;
  if (lower === undefined) return `${imported} has no place in the order of imports`;
  return lower < upper ? undefined : `${importer} must not import ${imported}`;
}

/** Why a file may not stand where it does under this name; undefined if it may. */
export function pathViolation(path: string): string | undefined {
  const name = path.split("/").at(-1)!;
  if (VAGUE_NAMES.includes(name)) {
    return `is named ${name}: a file's name must say which question it answers`;
  }
  if (!KNOWN_TOPS.includes(topOf(path))) {
    return `is in none of ${KNOWN_TOPS.join(", ")}`;
  }
  return undefined;
}

/**
 * Every literal that the source imports or resolves: `from "x"`, `import "x"`, `import("x")`,
 * `import.meta.resolve("x")` and `new URL("x", import.meta.url)`, by which lanes and data are named.
 * Lines that are comments do not count.
 */
export function findImports(source: string): Import[] {
  const code = source.replaceAll(/^\s*(?:\/\/|\*|\/\*).*$/gm, "");
  const pattern =
    /(?:\bfrom\s*|\bimport\s*\(?\s*|\bimport\.meta\.resolve\(\s*|\bnew\s+URL\(\s*)(["'`])([^"'`\n]+)\1/g;
  return [...code.matchAll(pattern)].map((match) => ({
    specifier: match[2]!,
    line: code.slice(0, match.index).split("\n").length,
  }));
}
