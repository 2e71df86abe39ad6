/**
 * What a session will hold, computed from sizes alone so that admission can refuse before any tensor is taken.
 *
 * @module
 */

import type { ExpertDescription } from "../shared/engine/expert.ts";
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
}

/**
 * Bytes of a session's skips, its widest feature map (the input or output in flight), text states and
 * time embeddings, all f32.
 */
export function sessionBytes(expert: ExpertDescription, size: SessionSize): number {
  const { batch, height, width } = size;
  const outputBytes = new Map(
    expert.blocks.map((block) => [
      block.id,
      byteLength("float32", [batch, ...blockOutputShape(block, height, width)]),
    ]),
  );
  const skips = new Set(expert.blocks.flatMap((block) => block.skipFrom ?? []));
  const kept = [...skips].reduce((sum, id) => sum + (outputBytes.get(id) ?? 0), 0);
  return kept + Math.max(...outputBytes.values()) +
    byteLength("float32", [batch, size.tokens, expert.crossAttentionDim]) +
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
