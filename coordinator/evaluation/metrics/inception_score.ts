/** IS: how sure a classifier is of each image, and how many classes it sees in all (Salimans et al. 2016). @module */

import { UsageError } from "../../../shared/errors.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { NumpyRandom } from "../numpy_random.ts";

/** torch-fidelity's. */
const SPLITS = 10, SEED = 2020;

export interface InceptionScore {
  readonly mean: number;
  /** Of the population of splits. */
  readonly std: number;
  readonly perSplit: readonly number[];
}

/**
 * As torch-fidelity: images in an order by chance, ten splits.
 *
 * @param logits f32 `[n, classes]`, without the classifier's bias
 */
export function inceptionScore(logits: F32Tensor): InceptionScore {
  const [n = 0, classes = 0] = logits.shape;
  const order = new NumpyRandom(SEED).permutation(n);
  const shuffled = f32([n, classes]);
  order.forEach((row, i) =>
    shuffled.data.set(logits.data.subarray(row * classes, (row + 1) * classes), i * classes)
  );
  return scoreOfSplits(rowSoftmax(shuffled), SPLITS);
}

/**
 * `exp(mean KL(p(y|x) || p(y)))` of each split; split i is rows `floor(i n / splits)` to `floor((i + 1) n / splits)`.
 *
 * @param probabilities `[n][classes]`
 * @throws {UsageError} if a split would be empty
 */
export function scoreOfSplits(
  probabilities: readonly ArrayLike<number>[],
  splits: number,
): InceptionScore {
  const n = probabilities.length;
  if (n < splits) {
    throw new UsageError(`IS in ${splits} splits needs as many images: current count is ${n}`);
  }
  const perSplit = Array.from({ length: splits }, (_, i) =>
    scoreOf(
      probabilities.slice(Math.floor(i * n / splits), Math.floor((i + 1) * n / splits)),
    ));
  const mean = perSplit.reduce((sum, score) => sum + score, 0) / splits;
  const square = perSplit.reduce((sum, score) => sum + (score - mean) ** 2, 0);
  return { mean, std: Math.sqrt(square / splits), perSplit };
}

function scoreOf(rows: readonly ArrayLike<number>[]): number {
  const classes = rows[0]!.length;
  const marginal = new Float64Array(classes);
  for (const row of rows) {
    for (let k = 0; k < classes; k++) marginal[k]! += row[k]! / rows.length;
  }
  let divergence = 0;
  for (const row of rows) {
    for (let k = 0; k < classes; k++) {
      // 0 log 0 = 0
      if (row[k]! > 0) divergence += row[k]! * Math.log(row[k]! / marginal[k]!);
    }
  }
  return Math.exp(divergence / rows.length);
}

/** In f64. */
export function rowSoftmax({ shape: [n = 0, classes = 0], data }: F32Tensor): Float64Array[] {
  return Array.from({ length: n }, (_, i) => {
    const row = Float64Array.from(data.subarray(i * classes, (i + 1) * classes));
    const largest = row.reduce((most, value) => Math.max(most, value), -Infinity);
    const exps = row.map((value) => Math.exp(value - largest));
    const sum = exps.reduce((total, value) => total + value, 0);
    return exps.map((value) => value / sum);
  });
}
