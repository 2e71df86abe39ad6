/**
 * What activations can be on the wire, and how many bytes they take there. `codec.ts` converts them.
 *
 * | dtype | bytes per element | relative L2 on N(0, 1) | range |
 * |---|---|---|---|
 * | f32 | 4 | 0, every bit | all of f32 |
 * | f16 | 2 | 2e-4 | 65504; exact zero below 3e-8 |
 * | bf16 | 2 | 1.7e-3 | nearly all of f32 |
 * | int8 | 1 + 4/256 | 7e-3 | of each block: 1/127 of its largest value is one step |
 *
 * @module
 */

/** From exact to small. */
export const WIRE_DTYPES = ["f32", "f16", "bf16", "int8"] as const;

export type WireDtype = typeof WIRE_DTYPES[number];

/**
 * Elements of one int8 block, which share a scale: 1.6 % more bytes, and an outlier channel coarsens no other where
 * a channel has 16 x 16 latent pixels or more. Tensors that are converted in pieces are cut at multiples of it.
 */
export const BLOCK_ELEMENTS = 256;

/** Of the scale behind each int8 block, an f32; blocks are padded to a multiple of it. */
const SCALE_BYTES = 4;

/** Bytes of `elements` values on the wire. Of whole blocks and a rest, it is the sum of both. */
export function encodedBytes(dtype: WireDtype, elements: number): number {
  switch (dtype) {
    case "f32":
      return 4 * elements;
    case "f16":
    case "bf16":
      return 2 * elements;
    case "int8": {
      const rest = elements % BLOCK_ELEMENTS;
      const blocks = (elements - rest) / BLOCK_ELEMENTS;
      return blocks * int8BlockBytes(BLOCK_ELEMENTS) + (rest > 0 ? int8BlockBytes(rest) : 0);
    }
  }
}

/** Bytes of one int8 block of 1 to 256 values: the values, zeros up to a multiple of 4, the scale. */
export function int8BlockBytes(elements: number): number {
  return Math.ceil(elements / SCALE_BYTES) * SCALE_BYTES + SCALE_BYTES;
}
