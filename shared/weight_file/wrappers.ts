/**
 * What training frameworks put around a model's keys: a checkpoint of Lightning keeps the weights in `state_dict`, beside
 * optimizer and counters, and a model that ran on several devices is called `module`.
 *
 * @module
 */

import { TensorFile } from "./tensor_file.ts";

const STATE_DICT = "state_dict.";
const MODULE = "module.";

/** The same file under the model's own keys. */
export function withoutWrappers(file: TensorFile): TensorFile {
  const names = [...file.entries.keys()];
  if (names.some((name) => name.startsWith(STATE_DICT))) {
    return withoutWrappers(below(file, STATE_DICT));
  }
  if (names.length > 0 && names.every((name) => name.startsWith(MODULE))) {
    return withoutWrappers(below(file, MODULE));
  }
  return file;
}

function below(file: TensorFile, prefix: string): TensorFile {
  const { path, metadata, dataStart } = file;
  const [entries, foreign] = [keysBelow(file.entries, prefix), keysBelow(file.foreign, prefix)];
  return new TensorFile(path, { entries, foreign, metadata, dataStart });
}

function keysBelow<E extends { readonly name: string }>(
  entries: ReadonlyMap<string, E>,
  prefix: string,
): ReadonlyMap<string, E> {
  return new Map(
    [...entries].flatMap(([key, entry]) => {
      if (!key.startsWith(prefix)) return [];
      const name = key.slice(prefix.length);
      return [[name, { ...entry, name }] as const];
    }),
  );
}
