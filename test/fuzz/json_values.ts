/** Damage to JSON that leaves it JSON: values of other types and sizes, keys that are missing or unknown. @module */

import type { Mutator } from "./mutate.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const VALUES: readonly Json[] = [
  ...[
    null,
    true,
    0,
    -1,
    1.5,
    1e308,
    2 ** 53,
    "",
    "0",
    "a:1",
    "../..",
    "\u0000",
    "\u001b[31m",
    "é".repeat(300),
  ],
  ...[[], {}, [null], [[[[]]]], { a: 1 }, "x".repeat(5000), new Array<Json>(300).fill("IN00")],
];
const KEYS = ["id", "name", "version", "__proto__", "constructor", "toString", "x".repeat(300)];

/** Of a JSON document; of anything else what `mutator` makes of its bytes. */
export function mutateJson(bytes: Uint8Array, mutator: Mutator): Uint8Array<ArrayBuffer> {
  let value = JSON.parse(new TextDecoder().decode(bytes)) as Json;
  for (let i = mutator.below(3); i >= 0; i--) value = damage(value, mutator);
  return new TextEncoder().encode(JSON.stringify(value));
}

function damage(value: Json, mutator: Mutator): Json {
  if (typeof value !== "object" || value === null || mutator.below(20) === 0) {
    return VALUES[mutator.below(VALUES.length)]!;
  }
  if (Array.isArray(value)) {
    const at = mutator.below(value.length + 1);
    const rest = value.slice(at + 1);
    return mutator.below(4) === 0
      ? [...value.slice(0, at), ...rest]
      : [...value.slice(0, at), damage(value[at] ?? null, mutator), ...rest];
  }
  const entries = Object.entries(value);
  const at = mutator.below(entries.length);
  const [key = "", inner = null] = entries[at] ?? [];
  const otherKey = KEYS[mutator.below(KEYS.length)]!;
  const changed: [string, Json][] = [[], [[otherKey, inner]], [[key, inner], [otherKey, inner]]][
    mutator.below(12)
  ] as [string, Json][] ?? [[key, damage(inner, mutator)]];
  return Object.fromEntries([...entries.slice(0, at), ...changed, ...entries.slice(at + 1)]);
}
