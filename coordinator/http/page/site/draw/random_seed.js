/** A seed that several jobs share. @module */

/** @returns digits of a whole number below 2^32, which people can read and copy */
export function randomSeed() {
  return String(crypto.getRandomValues(new Uint32Array(1))[0]);
}
