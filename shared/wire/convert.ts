/**
 * Calls as messages and back. With its siblings (`convert_backward.ts`, `convert_session.ts`, `convert_plane.ts`,
 * `convert_description.ts`, `convert_status.ts`, `tensor_message.ts`) the only place where message objects and our types meet.
 * Every `...FromMessage` checks what a peer may have got wrong.
 *
 * @module
 */

import type { StatelessForward } from "../engine/block_expert.ts";
import type { AddedCond, ForwardResult, TextEncoding, TextOptions } from "../engine/expert.ts";
import { TuttiError } from "../errors.ts";
import type { F32Tensor, Tensor } from "../tensor/tensor.ts";
import { Fields, type Message } from "./fields.ts";
import { tensorFromMessage, tensorToMessage } from "./tensor_message.ts";

/** Timesteps in a message before the worker's own limit is known; keeps a hostile list from being walked. */
export const MAX_LIST = 100_000;

/** The hash of the model that a request means, or `""` where it left that open. */
export function modelHashFromMessage(message: unknown): string {
  return new Fields(message, "Request").text("modelHash");
}

// EncodeText

/** What an EncodeText asks. */
export interface TextRequest extends Required<TextOptions> {
  /** int64 `[B, L]` */
  readonly inputIds: Tensor<"int64">;
}

export function encodeTextToMessage(
  { inputIds, encoder, clipSkip }: TextRequest,
  modelHash: string,
): Message {
  return {
    modelHash,
    inputIds: tensorToMessage(inputIds),
    encoder,
    clipSkip: uint32("clip_skip", clipSkip),
  };
}

export function encodeTextFromMessage(message: unknown): TextRequest {
  const fields = new Fields(message, "EncodeTextRequest");
  return {
    inputIds: tensorField(fields, "inputIds", "int64"),
    encoder: fields.whole("encoder", 0, 1) as 0 | 1,
    // 0 is what a client sends that does not know the field.
    clipSkip: Math.max(1, fields.whole("clipSkip", 0)),
  };
}

export function textEncodingToMessage(encoding: TextEncoding): Message {
  return {
    lastHiddenState: tensorToMessage(encoding.lastHiddenState),
    penultimateHiddenState: tensorToMessage(encoding.penultimateHiddenState),
    pooled: tensorToMessage(encoding.pooled),
  };
}

export function textEncodingFromMessage(message: unknown): TextEncoding {
  const fields = new Fields(message, "EncodeTextResponse");
  return {
    lastHiddenState: tensorField(fields, "lastHiddenState", "float32"),
    penultimateHiddenState: tensorField(fields, "penultimateHiddenState", "float32"),
    pooled: tensorField(fields, "pooled", "float32"),
  };
}

// EmbedTimesteps

export function embedTimestepsToMessage(
  timesteps: readonly number[],
  modelHash: string,
  addedCond?: AddedCond,
): Message {
  return { modelHash, timesteps, ...addedCondToMessage(addedCond) };
}

export function embedTimestepsFromMessage(
  message: unknown,
): { readonly timesteps: number[]; readonly addedCond?: AddedCond } {
  const fields = new Fields(message, "EmbedTimestepsRequest");
  const addedCond = addedCondFromFields(fields);
  return { timesteps: fields.numbers("timesteps", MAX_LIST), ...(addedCond && { addedCond }) };
}

export function addedCondToMessage(addedCond: AddedCond | undefined): Message {
  if (!addedCond) return {};
  const { pooledPromptEmbeds, timeIds } = addedCond;
  return {
    addedCond: {
      pooledPromptEmbeds: tensorToMessage(pooledPromptEmbeds),
      timeIds: tensorToMessage(timeIds),
    },
  };
}

export function addedCondFromFields(fields: Fields): AddedCond | undefined {
  if ((fields.get("addedCond") ?? undefined) === undefined) return undefined;
  const message = fields.message("addedCond");
  return {
    pooledPromptEmbeds: tensorField(message, "pooledPromptEmbeds", "float32"),
    timeIds: tensorField(message, "timeIds", "float32"),
  };
}

/** @param temb f32 `[T, Dt]`, or `[T B, Dt]` */
export function timeEmbeddingToMessage(temb: F32Tensor): Message {
  return { temb: tensorToMessage(temb) };
}

export function timeEmbeddingFromMessage(message: unknown): F32Tensor {
  return tensorField(new Fields(message, "EmbedTimestepsResponse"), "temb", "float32");
}

// ForwardBlock

export function forwardBlockToMessage(request: StatelessForward, modelHash: string): Message {
  const { residual, targetSize } = request;
  return {
    modelHash,
    block: request.block,
    hiddenStates: tensorToMessage(request.hiddenStates),
    temb: tensorToMessage(request.temb),
    encoderHiddenStates: tensorToMessage(request.encoderHiddenStates),
    ...(residual && { residual: tensorToMessage(residual) }),
    ...(targetSize && {
      targetHeight: uint32("target height", targetSize[0]),
      targetWidth: uint32("target width", targetSize[1]),
    }),
  };
}

export function forwardBlockFromMessage(message: unknown): StatelessForward {
  const fields = new Fields(message, "ForwardBlockRequest");
  const hasHeight = fields.has("targetHeight");
  if (hasHeight !== fields.has("targetWidth")) {
    fields.fail(hasHeight ? "targetWidth" : "targetHeight", "set when the other one is");
  }
  return {
    block: fields.name("block"),
    hiddenStates: tensorField(fields, "hiddenStates", "float32"),
    temb: tensorField(fields, "temb", "float32"),
    encoderHiddenStates: tensorField(fields, "encoderHiddenStates", "float32"),
    ...(fields.has("residual") && { residual: tensorField(fields, "residual", "float32") }),
    ...(hasHeight && {
      targetSize: [fields.whole("targetHeight", 1), fields.whole("targetWidth", 1)] as const,
    }),
  };
}

export function forwardResultToMessage(result: ForwardResult): Message {
  return {
    hiddenStates: tensorToMessage(result.hiddenStates),
    computeMs: result.computeMs,
    queueMs: result.queueMs,
    loadMs: result.loadMs,
  };
}

export function forwardResultFromMessage(message: unknown): ForwardResult {
  const fields = new Fields(message, "ForwardBlockResponse");
  return {
    hiddenStates: tensorField(fields, "hiddenStates", "float32"),
    computeMs: fields.number("computeMs"),
    queueMs: fields.number("queueMs"),
    loadMs: fields.number("loadMs"),
  };
}

export function tensorField<D extends "float32" | "int64">(
  fields: Fields,
  field: string,
  dtype: D,
): Tensor<D> {
  return tensorFromMessage(fields.get(field), fields.path(field), dtype);
}

/** Protobuf would wrap or cut a number that its field cannot hold, so that another one arrives. */
export function uint32(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0 && value <= 0xffffffff) return value;
  throw new TuttiError(
    "OUT_OF_RANGE",
    `${name} must be a whole number >= 0: current value is ${value}`,
  );
}
