/** Whether two judges put pictures in the same order (Spearman's rank correlation). @module */

/** Between -1 and 1; NaN where one of them gives every picture the same score. */
export function rankCorrelation(a: readonly number[], b: readonly number[]): number {
  const [p, q] = [ranksOf(a), ranksOf(b)];
  const mean = (a.length + 1) / 2;
  let both = 0, first = 0, second = 0;
  p.forEach((rank, i) => {
    both += (rank - mean) * (q[i]! - mean);
    first += (rank - mean) ** 2;
    second += (q[i]! - mean) ** 2;
  });
  return both / Math.sqrt(first * second);
}

/** From 1; equal scores share the mean of their ranks. */
function ranksOf(values: readonly number[]): number[] {
  const order = [...values.keys()].sort((i, j) => values[i]! - values[j]!);
  const ranks = new Array<number>(values.length);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let at = start; at < end; at++) ranks[order[at]!] = (start + 1 + end) / 2;
    start = end;
  }
  return ranks;
}
