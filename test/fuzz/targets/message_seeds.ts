/** A good message of every kind that travels between coordinator and worker, with what reads it. @module */

import type { Message } from "../../../shared/wire/fields.ts";
import {
  backwardBlockFromMessage,
  backwardBlockToMessage,
  backwardResultFromMessage,
  backwardResultToMessage,
} from "../../../shared/wire/convert_backward.ts";
import {
  embedTimestepsFromMessage,
  embedTimestepsToMessage,
  encodeTextFromMessage,
  encodeTextToMessage,
  forwardBlockFromMessage,
  forwardBlockToMessage,
  forwardResultFromMessage,
  forwardResultToMessage,
  textEncodingFromMessage,
  textEncodingToMessage,
  timeEmbeddingFromMessage,
  timeEmbeddingToMessage,
} from "../../../shared/wire/convert.ts";
import {
  backwardToMessage,
  closeToMessage,
  commandFromMessage,
  eventFromMessage,
  forwardToMessage,
  openedToMessage,
  openToMessage,
  pieceToMessage,
  restoreToMessage,
  resultToMessage,
  usePlaneToMessage,
} from "../../../shared/wire/convert_session.ts";
import {
  descriptionFromMessage,
  descriptionToMessage,
} from "../../../shared/wire/convert_description.ts";
import { PROTOCOL } from "../../../shared/wire/version.ts";
import { DEFAULT_LIMITS } from "../../../shared/wire/limits.ts";
import { errorFromMessage, errorToMessage } from "../../../shared/wire/status.ts";
import { TuttiError } from "../../../shared/errors.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../shared/models/config/scheduler_config.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, promptIds, sessionConfig } from "../../support/expert_inputs.ts";
import { NO_PLANES } from "../../support/raw_session.ts";

export interface MessageSeed {
  /** Method as the .proto spells it, and which of its two messages. */
  readonly method: string;
  readonly side: "request" | "response";
  readonly message: Message;
  /** Reads all of the message, also what is read late. */
  readonly read: (message: unknown) => unknown;
}

export async function messageSeeds(): Promise<MessageSeed[]> {
  const expert = new AffineExpert();
  const { description } = expert;
  const { modelHash } = description;
  const config = { ...await sessionConfig(expert), job: "job-1", keepInputs: true };
  const hiddenStates = latentsFor(description, config);
  const temb = await expert.embedTimesteps([3, 3]);
  const { encoderHiddenStates } = config;
  const call = { block: "IN00", hiddenStates, temb, encoderHiddenStates };
  const inputIds = promptIds(description);
  const text = await expert.encodeText(inputIds);
  const head = { shape: [2, 4, 8, 8], wireDtype: "f16", sequence: 3 } as const;
  const range = { stepIndex: 1, first: "IN00", last: "IN02" };
  const trace = { traceId: "a1".repeat(16), spanId: "b2".repeat(8), traceFlags: 1 };
  const addedCond = { pooledPromptEmbeds: f32([2, 3]), timeIds: f32([2, 6]) };
  const offer = {
    plane: "tcp",
    address: "127.0.0.1:9",
    token: new Uint8Array(16),
    regionBytes: 0,
  } as const;
  const ownSchedule = {
    config: { ...DEFAULT_SCHEDULER_CONFIG, numTrainTimesteps: 2, trainedBetas: [0.1, 0.2] },
    source: "scheduler_config.json",
  };
  const worker = {
    expert: { ...description, ownSchedule },
    versions: { protocol: PROTOCOL, tutti: "0.1.0", deno: "2.9.6", runtime: "affine 1" },
    configJson: "{}",
    limits: DEFAULT_LIMITS,
  };
  const command = (message: Message) => request("Session", message, commandFromMessage);
  const event = (message: Message) => response("Session", message, readEvent);
  const refusal = new TuttiError("RESOURCE_EXHAUSTED", "no room", {
    details: { limit: "a", left: "0" },
  });
  return [
    command(openToMessage({ ...config, addedCond }, modelHash, NO_PLANES)),
    command(openToMessage(config, modelHash, { ...NO_PLANES, planes: ["tcp", "unix"] })),
    command(usePlaneToMessage({ plane: "tcp", proof: new Uint8Array(16) })),
    command(forwardToMessage(range, { hiddenStates })),
    command(forwardToMessage(range, { head })),
    command(restoreToMessage(range, { head })),
    command(backwardToMessage(range, head)),
    command(forwardToMessage({ ...range, trace }, { head })),
    command(backwardToMessage({ ...range, trace }, head)),
    command(pieceToMessage(new Uint8Array(64))),
    command(closeToMessage()),
    event(
      openedToMessage({
        sessionId: "s1",
        arenaBytes: 9,
        offers: [offer],
        keepInputs: true,
        gradientDtype: "bf16",
      }),
    ),
    event(resultToMessage({ output: { hiddenStates }, computeMs: 1, queueMs: 2, loadMs: 3 })),
    event(resultToMessage({ output: { head }, computeMs: 1, queueMs: 2, loadMs: 3 })),
    event({ error: errorToMessage(refusal) }),
    request(
      "EncodeText",
      encodeTextToMessage({ inputIds, encoder: 0, clipSkip: 1 }, modelHash),
      encodeTextFromMessage,
    ),
    response("EncodeText", textEncodingToMessage(text), textEncodingFromMessage),
    request(
      "EmbedTimesteps",
      embedTimestepsToMessage([3, 9], modelHash, addedCond),
      embedTimestepsFromMessage,
    ),
    response("EmbedTimesteps", timeEmbeddingToMessage(temb), timeEmbeddingFromMessage),
    request("ForwardBlock", forwardBlockToMessage(call, modelHash), forwardBlockFromMessage),
    response(
      "ForwardBlock",
      forwardResultToMessage({ hiddenStates, computeMs: 1, queueMs: 2, loadMs: 3 }),
      forwardResultFromMessage,
    ),
    request(
      "BackwardBlock",
      backwardBlockToMessage({ ...call, gradOutput: hiddenStates }, modelHash),
      backwardBlockFromMessage,
    ),
    response(
      "BackwardBlock",
      backwardResultToMessage({ gradHiddenStates: hiddenStates, computeMs: 1, queueMs: 2 }),
      backwardResultFromMessage,
    ),
    response("Describe", descriptionToMessage(worker), descriptionFromMessage),
  ];
}

function request(method: string, message: Message, read: MessageSeed["read"]): MessageSeed {
  return { method, side: "request", message, read };
}

function response(method: string, message: Message, read: MessageSeed["read"]): MessageSeed {
  return { method, side: "response", message, read };
}

function readEvent(message: unknown): unknown {
  const event = eventFromMessage(message);
  return event.kind === "error" ? errorFromMessage(event.error) : event;
}
