/**
 * Tensors are encoded piece by piece, so that the first bytes travel before the last ones are encoded.
 *
 * @module
 */

/** 1 MiB of f32, which stays in a core's cache, and whole blocks of every wire dtype. */
export const PIECE_ELEMENTS = 256 * 1024;
