/**
 * The service's calls, in the order of `worker.proto`: read the request, check it, ask the expert, write
 * the response.
 *
 * @module
 */

import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import { chooseText } from "../../shared/engine/choose_text.ts";
import {
  backwardBlockFromMessage,
  backwardModelHash,
  backwardResultToMessage,
} from "../../shared/wire/convert_backward.ts";
import {
  embedTimestepsFromMessage,
  encodeTextFromMessage,
  forwardBlockFromMessage,
  forwardResultToMessage,
  modelHashFromMessage,
  textEncodingToMessage,
  timeEmbeddingToMessage,
} from "../../shared/wire/convert.ts";
import { atMost } from "../../shared/wire/check_limits.ts";
import {
  descriptionToMessage,
  wantsWeightsHash,
  weightsHashesToMessage,
} from "../../shared/wire/convert_description.ts";
import {
  sessionsToMessage,
  statusRequestFromMessage,
  statusToMessage,
} from "../../shared/wire/convert_status.ts";
import type { WorkerHost } from "../worker_host.ts";
import {
  checkForwardBlock,
  checkInputIds,
  checkModelHash,
  checkTimesteps,
} from "./check_request.ts";
import { sessionHandler } from "./session_stream.ts";
import { type AnswerUnary, unaryHandler } from "./unary_call.ts";

export function workerHandlers(host: WorkerHost): UntypedServiceImplementation {
  const { limits } = host;

  const encodeText: AnswerUnary = async (request, signal) => {
    const { expert } = host;
    checkModelHash(expert.description, modelHashFromMessage(request));
    const { inputIds, encoder, clipSkip } = encodeTextFromMessage(request);
    checkInputIds(chooseText(expert.description, encoder), limits, inputIds);
    const encoding = await host.load.call(() =>
      expert.encodeText(inputIds, { encoder, clipSkip }, signal)
    );
    return textEncodingToMessage(encoding);
  };

  const embedTimesteps: AnswerUnary = async (request, signal) => {
    const { expert } = host;
    checkModelHash(expert.description, modelHashFromMessage(request));
    const { timesteps, addedCond } = embedTimestepsFromMessage(request);
    checkTimesteps(limits, timesteps);
    atMost("batch", addedCond?.timeIds.shape[0] ?? 1, limits.maxBatch);
    const temb = await host.load.call(() => expert.embedTimesteps(timesteps, signal, addedCond));
    return timeEmbeddingToMessage(temb);
  };

  const forwardBlock: AnswerUnary = async (request, signal) => {
    const { expert } = host;
    checkModelHash(expert.description, modelHashFromMessage(request));
    const forward = forwardBlockFromMessage(request);
    checkForwardBlock(expert.description, limits, forward);
    const result = await host.load.call(() => expert.forwardBlock(forward, signal));
    return forwardResultToMessage(result);
  };

  const backwardBlock: AnswerUnary = async (request, signal) => {
    const { expert } = host;
    checkModelHash(expert.description, backwardModelHash(request));
    const backward = backwardBlockFromMessage(request);
    // What goes back has the shapes of inputs that came: where the request fitted in a message, the answer does.
    checkForwardBlock(expert.description, limits, backward);
    const result = await host.load.call(() => expert.backwardBlock(backward, signal));
    return backwardResultToMessage(result);
  };

  const getStatus: AnswerUnary = (request) => {
    const awaited = host.sessions.progress(statusRequestFromMessage(request));
    return statusToMessage(host.status(), awaited);
  };

  const describe: AnswerUnary = async (request) => {
    const description = descriptionToMessage(host.describe());
    if (!wantsWeightsHash(request)) return description;
    const hashes = await host.expert.weightsHashes?.();
    return { ...description, ...(hashes && weightsHashesToMessage(hashes)) };
  };

  return {
    describe: unaryHandler(host, "Describe", describe),
    getStatus: unaryHandler(host, "GetStatus", getStatus),
    listSessions: unaryHandler(host, "ListSessions", () => sessionsToMessage(host.sessions.list())),
    encodeText: unaryHandler(host, "EncodeText", encodeText),
    embedTimesteps: unaryHandler(host, "EmbedTimesteps", embedTimesteps),
    forwardBlock: unaryHandler(host, "ForwardBlock", forwardBlock),
    backwardBlock: unaryHandler(host, "BackwardBlock", backwardBlock),
    session: sessionHandler(host),
  };
}
