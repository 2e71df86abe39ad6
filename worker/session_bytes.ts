/**
 * What a session will hold, computed from sizes alone so that admission can refuse before any tensor is taken.
 *
 * @module
 */

import type { ExpertDescription } from "../shared/engine/expert.ts";
import { arenaLayout } from "../shared/engine/session_arena.ts";
import { blockOutputShape } from "../shared/models/blocks.ts";
import { byteLength } from "../shared/tensor/tensor.ts";

export interface SessionSize {
  /** B */
  readonly batch: number;
  /** H and W, latent pixels */
  readonly height: number;
  readonly width: number;
  /** L */
  readonly tokens: number;
  /** T */
  readonly timesteps: number;
  /** Whether there is to be a way back. @default false */
  readonly keepInputs?: boolean;
}

/** Bytes of a session's feature maps, text states and time embeddings, all f32. */
export function sessionBytes(expert: ExpertDescription, size: SessionSize): number {
  return arenaLayout(expert.blocks, size).bytes +
    byteLength("float32", [size.batch, size.tokens, expert.crossAttentionDim]) +
    byteLength("float32", [size.timesteps, expert.timeEmbedDim]);
}

/** The block with the largest output at this size, and that output's bytes: it decides whether results fit in a message. */
export function widestOutput(
  expert: ExpertDescription,
  { batch, height, width }: SessionSize,
): { readonly block: string; readonly bytes: number } {
  const outputs = expert.blocks.map((block) => ({
    block: block.id,
    bytes: byteLength("float32", [batch, ...blockOutputShape(block, height, width)]),
  }));
  return outputs.reduce((widest, output) => output.bytes > widest.bytes ? output : widest);
}
