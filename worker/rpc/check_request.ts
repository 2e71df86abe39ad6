/**
 * Holds a request against the worker's limits and its expert's description before anything is computed or kept.
 * That shapes fit the block is the expert's own check; here stands what a stranger could use up.
 *
 * @module
 */

import type { StatelessForward } from "../../shared/engine/block_expert.ts";
import type { ExpertDescription, TextDescription } from "../../shared/engine/expert.ts";
import { ShapeError, TuttiError } from "../../shared/errors.ts";
import { type BlockSpec, sizeAtScale } from "../../shared/models/blocks.ts";
import { byteLength, formatType, type Tensor } from "../../shared/tensor/tensor.ts";
import { atMost, checkSessionSize } from "../../shared/wire/check_limits.ts";
import type { OpenCommand } from "../../shared/wire/convert_session.ts";
import { RESULT_OVERHEAD_BYTES, type WorkerLimits } from "../../shared/wire/limits.ts";
import { widestOutput } from "../session_bytes.ts";

/**
 * @param modelHash what the request means; `""` means any
 * @throws {TuttiError} FAILED_PRECONDITION naming both hashes
 */
export function checkModelHash(expert: ExpertDescription, modelHash: string): void {
  if (modelHash === "" || modelHash === expert.modelHash) return;
  throw new TuttiError(
    "FAILED_PRECONDITION",
    `This worker serves model "${expert.name}" with hash ${expert.modelHash}: ` +
      `the request means ${modelHash}`,
    { details: { field: "model_hash", served: expert.modelHash, requested: modelHash } },
  );
}

/** @throws {TuttiError} INVALID_ARGUMENT naming the limit */
export function checkOpen(
  expert: ExpertDescription,
  limits: WorkerLimits,
  open: OpenCommand,
): void {
  checkSessionSize(limits, open);
  checkTimesteps(limits, open.timesteps.flat());
  const { block, bytes } = widestOutput(expert, { ...open, tokens: 0, timesteps: 0 });
  // Feature maps on a plane are not part of a message.
  if (open.transport.planes.length === 0) checkResultFits(limits, block, bytes);
}

/**
 * @param tensor f32 `[B, L, D]`
 * @throws {ShapeError}
 */
export function checkTextStates(
  expert: ExpertDescription,
  limits: WorkerLimits,
  tensor: Tensor,
  batch: number,
): void {
  const [rows, tokens = 0, width] = tensor.shape;
  const { crossAttentionDim: dim } = expert;
  if (tensor.shape.length !== 3 || rows !== batch || width !== dim || tokens < 1) {
    throw new ShapeError(
      `encoder_hidden_states must be ${formatType("float32", [batch, "L", dim])}: ` +
        `current shape is [${tensor.shape.join(", ")}]`,
      { details: { field: "encoder_hidden_states" } },
    );
  }
  atMost("tokens", tokens, limits.maxTokens);
}

/** @param inputIds int64 `[B, L]` */
export function checkInputIds(
  text: TextDescription,
  limits: WorkerLimits,
  inputIds: Tensor,
): void {
  const [rows = 0, tokens] = inputIds.shape;
  if (inputIds.shape.length !== 2 || rows < 1 || tokens !== text.maxLength) {
    throw new ShapeError(
      `input_ids must be ${formatType("int64", ["B", text.maxLength])}: ` +
        `current shape is [${inputIds.shape.join(", ")}]`,
      { details: { field: "input_ids" } },
    );
  }
  atMost("batch", rows, limits.maxBatch);
}

/** @throws {TuttiError} INVALID_ARGUMENT if there are none or too many */
export function checkTimesteps(limits: WorkerLimits, timesteps: readonly number[]): void {
  if (timesteps.length === 0) {
    throw new TuttiError("INVALID_ARGUMENT", "timesteps must not be empty", {
      details: { field: "timesteps" },
    });
  }
  atMost("timesteps", timesteps.length, limits.maxTimesteps);
}

/** @throws {TuttiError} INVALID_ARGUMENT, or RESOURCE_EXHAUSTED if the output would not fit in a message */
export function checkForwardBlock(
  expert: ExpertDescription,
  limits: WorkerLimits,
  request: StatelessForward,
): void {
  const block = findBlock(expert, request.block);
  const { shape } = request.hiddenStates;
  const [batch = 0, , height = 0, width = 0] = shape;
  if (shape.length !== 4 || shape.some((dim) => dim < 1)) {
    throw new ShapeError(
      `hidden_states of block "${block.id}" must be ` +
        `${formatType("float32", ["B", block.inChannels, "h", "w"])}: ` +
        `current shape is [${shape.join(", ")}]`,
      { details: { field: "hidden_states", block: block.id } },
    );
  }
  atMost("batch", batch, limits.maxBatch);
  atMost("height", height, sizeAtScale(limits.maxLatentHeight, block.inScale));
  atMost("width", width, sizeAtScale(limits.maxLatentWidth, block.inScale));
  checkTextStates(expert, limits, request.encoderHiddenStates, batch);
  const factor = block.upsamples ? 2 : 1;
  const [outHeight, outWidth] = request.targetSize ?? [factor * height, factor * width];
  atMost("target_height", outHeight, sizeAtScale(limits.maxLatentHeight, block.outScale));
  atMost("target_width", outWidth, sizeAtScale(limits.maxLatentWidth, block.outScale));
  const out = [batch, block.outChannels, outHeight, outWidth];
  checkResultFits(limits, block.id, byteLength("float32", out));
}

function findBlock(expert: ExpertDescription, id: string): BlockSpec {
  const block = expert.blocks.find((candidate) => candidate.id === id);
  if (block) return block;
  throw new TuttiError(
    "NOT_FOUND",
    `Block must be one of "${expert.blocks[0]?.id}" to "${expert.blocks.at(-1)?.id}": ` +
      `current value is "${id.slice(0, 100)}"`,
    { details: { field: "block", block: id } },
  );
}

function checkResultFits(limits: WorkerLimits, block: string, bytes: number): void {
  if (bytes + RESULT_OVERHEAD_BYTES <= limits.maxMessageBytes) return;
  throw new TuttiError(
    "RESOURCE_EXHAUSTED",
    `The output of block "${block}" would have ${bytes} bytes, and a message holds at most ` +
      `${limits.maxMessageBytes}: use fewer rows or a smaller size`,
    { details: { limit: "max_message_bytes", block, asked: String(bytes) } },
  );
}
