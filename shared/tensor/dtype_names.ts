/** Floats as flags and recipes spell them. @module */

import type { FloatDType } from "./float64.ts";

export const DTYPE_NAMES = {
  f32: "float32",
  f16: "float16",
  bf16: "bfloat16",
} as const satisfies Record<string, FloatDType>;
