/** Weights of a quadrature through given nodes, for multistep solvers that integrate an interpolating polynomial. @module */

/**
 * What each node's value counts in the integral of the polynomial through all of them.
 *
 * @param nodes all different
 * @param moments `∫ (u - nodes[0])^k du` over where the polynomial is integrated, with whatever weight, for k = 0, 1, ...; as
 *   many as nodes
 */
export function lagrangeWeights(nodes: readonly number[], moments: readonly number[]): number[] {
  const [origin] = nodes;
  const shifted = nodes.map((node) => node - origin!);
  return shifted.map((own, j) => {
    const others = shifted.filter((_, k) => k !== j);
    const coefficients = others.reduce(
      (polynomial, other) => timesRoot(polynomial, other).map((c) => c / (own - other)),
      [1],
    );
    return coefficients.reduce((sum, c, power) => sum + c * moments[power]!, 0);
  });
}

/** `p(v) (v - root)`, coefficients from the lowest power up. */
function timesRoot(polynomial: readonly number[], root: number): number[] {
  return [...polynomial, 0].map((c, power) =>
    (polynomial[power - 1] ?? 0) - root * (power < polynomial.length ? c : 0)
  );
}
