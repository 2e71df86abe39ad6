/** Errors as ComfyUI's server has them: of the request, and of single nodes of its graph. @module */

import { type TuttiError, UsageError } from "../../../shared/errors.ts";
import type { Refusal } from "../server/route.ts";

/** Details by which a node's error is told from the request's. */
const NODE = "comfy_node", TYPE = "comfy_type", CLASS = "comfy_class";

export interface NodeProblem {
  readonly node: string;
  readonly classType: string;
  /** The input that is wrong. */
  readonly input: string;
  /** As ComfyUI names kinds of errors. */
  readonly type: string;
}

export function nodeError(
  { node, classType, input, type }: NodeProblem,
  message: string,
): UsageError {
  return new UsageError(message, {
    details: { [NODE]: node, [CLASS]: classType, [TYPE]: type, field: input },
  });
}

/** Of a graph as a whole. */
export function promptError(type: string, message: string): UsageError {
  return new UsageError(message, { details: { [TYPE]: type } });
}

export function comfyRefusal({ code, message, details }: TuttiError, status: number): Refusal {
  const { [NODE]: node, [TYPE]: type = code.toLowerCase(), [CLASS]: classType, field } = details;
  if (node === undefined) {
    const error = { type, message, details: message, extra_info: {} };
    return { status, body: { error, node_errors: {} } };
  }
  const problem = { type, message, details: message, extra_info: { input_name: field } };
  return {
    status,
    body: {
      error: {
        type: "prompt_outputs_failed_validation",
        message: "Prompt outputs failed validation",
        ...{ details: message, extra_info: {} },
      },
      node_errors: {
        [node]: { errors: [problem], dependent_outputs: [], class_type: classType },
      },
    },
  };
}
