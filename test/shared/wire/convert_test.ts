import assert from "node:assert/strict";
import type { StatelessForward } from "../../../shared/engine/block_expert.ts";
import { i64 } from "../../../shared/tensor/tensor.ts";
import {
  embedTimestepsFromMessage,
  embedTimestepsToMessage,
  encodeTextFromMessage,
  encodeTextToMessage,
  forwardBlockFromMessage,
  forwardBlockToMessage,
  modelHashFromMessage,
} from "../../../shared/wire/convert.ts";
import {
  backwardBlockFromMessage,
  backwardBlockToMessage,
  backwardModelHash,
  backwardResultFromMessage,
  backwardResultToMessage,
} from "../../../shared/wire/convert_backward.ts";
import {
  descriptionFromMessage,
  descriptionToMessage,
  type WorkerDescription,
} from "../../../shared/wire/convert_description.ts";
import {
  awaitedFromMessage,
  sessionsFromMessage,
  sessionsToMessage,
  statusFromMessage,
  statusRequestFromMessage,
  statusRequestToMessage,
  statusToMessage,
  type WorkerStatus,
} from "../../../shared/wire/convert_status.ts";
import type { Message } from "../../../shared/wire/fields.ts";
import { DEFAULT_LIMITS } from "../../../shared/wire/limits.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { travel } from "./travel.ts";

Deno.test("a description comes through unchanged, and brings the blocks' shapes for others", () => {
  const worker: WorkerDescription = {
    versions: { protocol: { min: 1, max: 3 }, tutti: "1.2.3", deno: "2.9.6", runtime: "r 1" },
    expert: { ...new AffineExpert().description, sampleSize: 9 },
    configJson: '{"a":1}',
    limits: { ...DEFAULT_LIMITS, arenaBytes: 2 ** 40, idleLimitSeconds: 0.5 },
  };
  const message = travel("Describe", "response", descriptionToMessage(worker));
  assert.deepEqual(descriptionFromMessage(message), worker);
  assert.equal(message.noiseSchedule, null, "what the model does not say takes no bytes");
  const blocks = message.blocks as Message[];
  const out02 = blocks.find((block) => block.id === "OUT02")!;
  assert.deepEqual(
    [out02.inputShape, out02.outputShape, out02.skipShape],
    [[8, 2, 2], [8, 3, 3], [8, 2, 2]],
  );
  assert.deepEqual(blocks[0]!.skipShape, []);
});

Deno.test("status and sessions come through unchanged", () => {
  const status: WorkerStatus = {
    state: "stopping",
    name: "n",
    modelHash: "h",
    versions: { protocol: { min: 1, max: 1 }, tutti: "1", deno: "2", runtime: "3" },
    uptimeSeconds: 1.25,
    lanes: 4,
    busyLanes: 3,
    queueDepth: 2,
    sessions: 5,
    maxSessions: 6,
    waitingSessions: 1,
    arenaBytesUsed: 7,
    arenaBytesLeft: 2 ** 40,
    residentBytes: 2 ** 33,
    blocksRun: 2 ** 34,
    computeSeconds: 12.5,
    device: "cuda:1",
    precision: "f16",
    loading: { blocks: 7, allBlocks: 25, bytes: 1.2e9 },
  };
  const asked = travel("GetStatus", "request", statusRequestToMessage(["s1-a", "s2-b"]));
  assert.deepEqual(statusRequestFromMessage(asked), ["s1-a", "s2-b"]);
  const awaited = [{ sessionId: "s1-a", quietSeconds: 0 }, {
    sessionId: "s2-b",
    quietSeconds: 1.5,
  }];
  const message = travel("GetStatus", "response", statusToMessage(status, awaited));
  assert.deepEqual(statusFromMessage(message), status);
  assert.deepEqual(awaitedFromMessage(message), awaited);
  const session = {
    sessionId: "s1",
    peer: "127.0.0.1:5",
    batch: 2,
    height: 8,
    width: 9,
    timesteps: 50,
    stepIndex: 3,
    arenaBytes: 2 ** 35,
    ageSeconds: 1.5,
    idleSeconds: 0.25,
    plane: "shm",
  } as const;
  const sessions = [session, { ...session, plane: undefined }];
  const listed = travel("ListSessions", "response", sessionsToMessage(sessions));
  assert.deepEqual(sessionsFromMessage(listed), sessions);
});

Deno.test("requests come through unchanged", () => {
  const ids = i64([1, 3], [49406, 0, 2 ** 40]);
  const request = { inputIds: ids, encoder: 1, clipSkip: 7 } as const;
  const text = travel("EncodeText", "request", encodeTextToMessage(request, "hash"));
  assert.deepEqual(encodeTextFromMessage(text), request);
  assert.equal(modelHashFromMessage(text), "hash");
  // A client that knows neither field.
  const old = travel("EncodeText", "request", { inputIds: text.inputIds });
  assert.deepEqual(encodeTextFromMessage(old), { inputIds: ids, encoder: 0, clipSkip: 1 });

  const timesteps = [999, 1 / 3, 0];
  const embed = travel("EmbedTimesteps", "request", embedTimestepsToMessage(timesteps, "hash"));
  assert.deepEqual(embedTimestepsFromMessage(embed), { timesteps });
  const addedCond = {
    pooledPromptEmbeds: randomTensor([2, 5], 8),
    timeIds: randomTensor([2, 6], 9),
  };
  const conditioned = embedTimestepsToMessage(timesteps, "hash", addedCond);
  assert.deepEqual(embedTimestepsFromMessage(travel("EmbedTimesteps", "request", conditioned)), {
    timesteps,
    addedCond,
  });

  const minimal: StatelessForward = {
    block: "IN00",
    hiddenStates: randomTensor([1, 2, 3, 4], 1),
    temb: randomTensor([1, 5], 2),
    encoderHiddenStates: randomTensor([1, 6, 7], 3),
  };
  const whole = {
    ...minimal,
    residual: randomTensor([1, 1, 3, 4], 4),
    targetSize: [5, 8] as const,
  };
  for (const request of [minimal, whole]) {
    const block = travel("ForwardBlock", "request", forwardBlockToMessage(request, "hash"));
    assert.deepEqual(forwardBlockFromMessage(block), request);
    const backward = { ...request, gradOutput: randomTensor([1, 9, 5, 8], 5) };
    const message = backwardBlockToMessage(backward, "hash");
    const gradients = travel("BackwardBlock", "request", message);
    assert.deepEqual(backwardBlockFromMessage(gradients), backward);
    assert.equal(backwardModelHash(gradients), "hash");
  }
});

Deno.test("a block's gradients come through unchanged, with and without a skip's", () => {
  const gradHiddenStates = randomTensor([1, 2, 3, 4], 1);
  const plain = { gradHiddenStates, computeMs: 1.5, queueMs: 0.25 };
  for (const result of [plain, { ...plain, gradResidual: randomTensor([1, 5, 3, 4], 2) }]) {
    const message = travel("BackwardBlock", "response", backwardResultToMessage(result));
    assert.deepEqual(backwardResultFromMessage(message), result);
  }
});

Deno.test("half a target size is refused", () => {
  for (
    const [given, missing] of [["targetHeight", "target_width"], ["targetWidth", "target_height"]]
  ) {
    const message = travel("ForwardBlock", "request", { block: "OUT02", [given!]: 3 });
    assert.throws(() => forwardBlockFromMessage(message), {
      code: "INVALID_ARGUMENT",
      message: new RegExp(`ForwardBlockRequest\\.${missing} must be set when the other one is`),
    });
  }
});

Deno.test("a text encoder beyond the second is refused", () => {
  const { inputIds } = encodeTextToMessage(
    { inputIds: i64([1, 1], [0]), encoder: 0, clipSkip: 1 },
    "hash",
  );
  const message = travel("EncodeText", "request", { inputIds, encoder: 2 });
  assert.throws(() => encodeTextFromMessage(message), {
    code: "INVALID_ARGUMENT",
    message: "EncodeTextRequest.encoder must be a whole number in 0..1: current value is 2",
  });
});

Deno.test("numbers that protobuf would bend are refused where they are sent", () => {
  for (const number of [-1, 0.5, NaN, Infinity, 2 ** 32]) {
    const text = { inputIds: i64([1, 1], [0]), encoder: 0, clipSkip: number } as const;
    assert.throws(() => encodeTextToMessage(text, "hash"), { code: "OUT_OF_RANGE" });
  }
});
