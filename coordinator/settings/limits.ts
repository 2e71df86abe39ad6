/** The most that a job may ask for, whichever models draw it. @module */

/** A prompt longer than this is no prompt: 16 chunks of 75 tokens are the most that a worker takes. */
export const MAX_PROMPT_CHARS = 20_000;
/** The training schedules of all families have 1000 steps. */
export const MAX_STEPS = 1000;
export const MAX_IMAGES = 1024, MAX_PIXELS = 16_384, MAX_WAVES = 1024, MAX_CLIP_SKIP = 100;
/** Image pixels to a latent pixel: the VAEs of all families halve three times. */
export const PIXELS_PER_LATENT = 8;
/** Largest seed that torch's generator takes. */
export const MAX_SEED = 2n ** 64n - 1n;
