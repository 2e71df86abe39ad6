/** The tensors of a pickled object under their names: keys of nested dicts, joined by dots. @module */

import { FormatError } from "../errors.ts";
import { show } from "../show.ts";
import { PickleDict, type PickleValue } from "./pickle.ts";
import { TorchTensor } from "./torch_names.ts";

/** Deeper than any tool nests its dicts. */
const MAX_DEPTH = 8;
/** Dicts that hold the same dict many times grow exponentially when they are walked. */
const MAX_VISITED = 1_000_000;
const MAX_NAME_LENGTH = 1000;

/**
 * @throws {FormatError} if there is no tensor, two have one name, or the nesting has no end
 */
export function namedTensors(root: PickleValue, path: string): ReadonlyMap<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>();
  let visited = 0;
  const walk = (value: PickleValue, name: string, depth: number): void => {
    if (++visited > MAX_VISITED || depth > MAX_DEPTH || name.length > MAX_NAME_LENGTH) {
      throw new FormatError(
        `Tensors of ${
          show(path)
        } must be at most ${MAX_DEPTH} dicts deep and have names of at most ` +
          `${MAX_NAME_LENGTH} characters: current name begins with ${show(name.slice(0, 100))}`,
      );
    }
    if (value instanceof TorchTensor) {
      if (tensors.has(name)) {
        throw new FormatError(`Model file ${show(path)} must name ${show(name)} only once`);
      }
      tensors.set(name, value);
    }
    if (!(value instanceof PickleDict)) return;
    for (const [key, item] of value.items) {
      if (typeof key !== "string" && typeof key !== "number") continue;
      walk(item, name === "" ? String(key) : `${name}.${key}`, depth + 1);
    }
  };
  walk(root, "", 0);
  if (tensors.size === 0) {
    throw new FormatError(`Model file ${show(path)} must hold tensors: its pickle has none`);
  }
  return tensors;
}
