/** From the seed that somebody chose, or left open, to those of the images. @module */

/** One per image. @param first of them: they count up; a random one is below 2^32, as other tools draw them */
export function seedsFrom(first: bigint | "random", count: number): bigint[] {
  const from = first === "random" ? BigInt(crypto.getRandomValues(new Uint32Array(1))[0]!) : first;
  return Array.from({ length: count }, (_, i) => BigInt.asUintN(64, from + BigInt(i)));
}
