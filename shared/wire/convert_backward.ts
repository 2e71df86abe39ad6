/** The call of a block's gradients as messages and back. @module */

import type { BackwardResult, StatelessBackward } from "../engine/block_expert.ts";
import { forwardBlockFromMessage, forwardBlockToMessage, tensorField } from "./convert.ts";
import { Fields, type Message } from "./fields.ts";
import { tensorToMessage } from "./tensor_message.ts";

export function backwardBlockToMessage(request: StatelessBackward, modelHash: string): Message {
  return {
    forward: forwardBlockToMessage(request, modelHash),
    gradOutput: tensorToMessage(request.gradOutput),
  };
}

/** The hash of the model that the request means, or `""` where it left that open. */
export function backwardModelHash(message: unknown): string {
  return new Fields(message, "BackwardBlockRequest").message("forward").text("modelHash");
}

export function backwardBlockFromMessage(message: unknown): StatelessBackward {
  const fields = new Fields(message, "BackwardBlockRequest");
  return {
    ...forwardBlockFromMessage(fields.get("forward")),
    gradOutput: tensorField(fields, "gradOutput", "float32"),
  };
}

export function backwardResultToMessage(result: BackwardResult): Message {
  const { gradHiddenStates, gradResidual, computeMs, queueMs } = result;
  return {
    gradHiddenStates: tensorToMessage(gradHiddenStates),
    ...(gradResidual && { gradResidual: tensorToMessage(gradResidual) }),
    computeMs,
    queueMs,
  };
}

export function backwardResultFromMessage(message: unknown): BackwardResult {
  const fields = new Fields(message, "BackwardBlockResponse");
  return {
    gradHiddenStates: tensorField(fields, "gradHiddenStates", "float32"),
    ...(fields.has("gradResidual") && {
      gradResidual: tensorField(fields, "gradResidual", "float32"),
    }),
    computeMs: fields.number("computeMs"),
    queueMs: fields.number("queueMs"),
  };
}
