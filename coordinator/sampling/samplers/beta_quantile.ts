/** The quantile of the beta distribution: the inverse of the regularised incomplete beta function `I_x(a, b)`. @module */

const EPSILON = 1e-15;
/** Terms of the continued fraction; with x below the mean some ten are enough for shapes of this size. */
const MAX_TERMS = 500;
/** Halvings of 0..1: more than a double tells apart, near 0 too. */
const BISECTIONS = 200;

/** The x in 0..1 with `I_x(a, b) = p`. @param p in 0..1 */
export function betaQuantile(p: number, a: number, b: number): number {
  if (p <= 0) return 0;
  if (p >= 1) return 1;
  let [low, high] = [0, 1];
  for (let i = 0; i < BISECTIONS && high - low > EPSILON * high; i++) {
    const middle = (low + high) / 2;
    if (regularizedBeta(middle, a, b) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** `I_x(a, b)`: the share of the distribution below x. */
export function regularizedBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // The fraction converges fast below the mean only; above it, I_x(a, b) = 1 - I_{1-x}(b, a).
  if (x > (a + 1) / (a + b + 2)) return 1 - regularizedBeta(1 - x, b, a);
  const front = Math.exp(
    a * Math.log(x) + b * Math.log1p(-x) + logGamma(a + b) - logGamma(a) - logGamma(b),
  );
  return front * continuedFraction(x, a, b) / a;
}

/** Of the incomplete beta function (DLMF 8.17.22), by the modified Lentz method. */
function continuedFraction(x: number, a: number, b: number): number {
  const away = (value: number) => Math.abs(value) < Number.MIN_VALUE ? Number.MIN_VALUE : value;
  let c = 1;
  let d = 1 / away(1 - (a + b) * x / (a + 1));
  let fraction = d;
  for (let m = 1; m <= MAX_TERMS; m++) {
    const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    for (const term of [even, odd]) {
      d = 1 / away(1 + term * d);
      c = away(1 + term / c);
      fraction *= c * d;
    }
    if (Math.abs(c * d - 1) < EPSILON) break;
  }
  return fraction;
}

/** Lanczos's approximation with g = 7 and nine coefficients (Godfrey), for x > 0: good to 15 digits. */
function logGamma(x: number): number {
  // Below 1/2 by the reflection formula, where the series loses digits.
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const series = LANCZOS.reduce((sum, c, i) => sum + (i === 0 ? c : c / (x - 1 + i)), 0);
  const t = x + 6.5;
  return Math.log(2 * Math.PI) / 2 + (x - 0.5) * Math.log(t) - t + Math.log(series);
}

const LANCZOS = [
  0.99999999999980993,
  676.5203681218851,
  -1259.1392167224028,
  771.32342877765313,
  -176.61502916214059,
  12.507343278686905,
  -0.13857109526572012,
  9.9843695780195716e-6,
  1.5056327351493116e-7,
];
