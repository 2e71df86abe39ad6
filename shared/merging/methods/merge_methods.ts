/** Every merge method by its name. A new one is a function and an entry here. @module */

import { didYouMean } from "../../terminal/did_you_mean.ts";
import { ParameterError } from "../parameter_error.ts";
import { VAE_PREFIXES } from "../../checkpoint/keymaps/vae.ts";
import { cosineA, cosineB } from "./cosine.ts";
import { addDifference, trainDifference } from "./differences.ts";
import { modelStock, slerp } from "./directions.ts";
import { defineMethod, type MergeMethod } from "./method.ts";
import { mergeBlockWeighted, sumTwice, tripleSum, weightedSum, weights } from "./sums.ts";
import { ties } from "./ties.ts";

const exactly = (count: number) => ({ min: count, max: count });
/** As in supermerger: a mixed VAE gives odd colours. */
const isOfVae = (key: string) => key.startsWith(VAE_PREFIXES[0]);
const atLeast = (min: number) => ({ min, max: Infinity });

export const MERGE_METHODS: Readonly<Record<string, MergeMethod>> = {
  "weights": defineMethod({
    formula: "w1 A + w2 B + ...; the mean without weights",
    models: atLeast(2),
    parameters: { weights: { kind: "weights" } },
    merge: weights,
  }),
  "weighted-sum": defineMethod({
    formula: "(1 - alpha) A + alpha B",
    models: exactly(2),
    parameters: { alpha: { kind: "number", default: 0.5 } },
    merge: weightedSum,
  }),
  "triple-sum": defineMethod({
    formula: "(1 - alpha - beta) A + alpha B + beta C",
    models: exactly(3),
    parameters: {
      alpha: { kind: "number", default: 1 / 3 },
      beta: { kind: "number", default: 1 / 3 },
    },
    merge: tripleSum,
  }),
  "sum-twice": defineMethod({
    formula: "(1 - beta) ((1 - alpha) A + alpha B) + beta C",
    models: exactly(3),
    parameters: {
      alpha: { kind: "number", default: 0.5 },
      beta: { kind: "number", default: 1 / 3 },
    },
    merge: sumTwice,
  }),
  "mbw": defineMethod({
    formula: "weights by block: a row for each model after A, which has what is left",
    models: atLeast(2),
    parameters: { mbw: { kind: "rows" } },
    merge: mergeBlockWeighted,
  }),
  "add-difference": defineMethod({
    formula: "A + alpha (B - C)",
    models: exactly(3),
    parameters: { alpha: { kind: "number", default: 1 } },
    merge: addDifference,
  }),
  "train-difference": defineMethod({
    formula: "A + alpha (B - C), more where A is far from B",
    models: exactly(3),
    parameters: { alpha: { kind: "number", default: 1 } },
    merge: trainDifference,
  }),
  "slerp": defineMethod({
    formula: "from A to B by alpha along the arc between them, tensor by tensor",
    models: exactly(2),
    parameters: { alpha: { kind: "number", default: 0.5, min: 0, max: 1 } },
    merge: slerp,
  }),
  "cosine-a": defineMethod({
    formula: "A where columns of A and B point the same way, B where not; alpha moves towards B",
    models: exactly(2),
    parameters: { alpha: { kind: "number", default: 0.5 } },
    keeps: isOfVae,
    ...cosineA,
  }),
  "cosine-b": defineMethod({
    formula: "the same, by columns and tensors that count as long as they are",
    models: exactly(2),
    parameters: { alpha: { kind: "number", default: 0.5 } },
    keeps: isOfVae,
    ...cosineB,
  }),
  "ties": defineMethod({
    formula: "A + lambda (what of the largest B - A, C - A, ... has the elected sign)",
    models: atLeast(3),
    parameters: {
      density: { kind: "number", default: 0.2, min: 0, max: 1 },
      lambda: { kind: "number", default: 1 },
    },
    merge: ties,
  }),
  "model-stock": defineMethod({
    formula: "A + t mean(B - A, C - A, ...), t from the angle between the differences",
    models: atLeast(3),
    parameters: {},
    merge: modelStock,
  }),
};

/** @throws {ParameterError} naming the nearest method, if there is none of this name */
export function findMethod(name: string): MergeMethod {
  if (Object.hasOwn(MERGE_METHODS, name)) return MERGE_METHODS[name]!;
  const names = Object.keys(MERGE_METHODS);
  throw new ParameterError(
    "method",
    `must be one of ${names.join(", ")}: current value is "${name}"${didYouMean(name, names)}`,
  );
}
