import assert from "node:assert/strict";
import type { WireDtype } from "../../../shared/wire/codec/wire_dtype.ts";
import { wireDtypeOf } from "../../../shared/wire/convert_plane.ts";
import {
  backwardToMessage,
  commandFromMessage,
  eventFromMessage,
  forwardToMessage,
  gradientsToMessage,
  openedToMessage,
  openToMessage,
  pieceToMessage,
  planeInUseToMessage,
  restoreToMessage,
  resultToMessage,
  usePlaneToMessage,
} from "../../../shared/wire/convert_session.ts";
import type { Message } from "../../../shared/wire/fields.ts";
import { MAX_PIECE_BYTES } from "../../../shared/wire/limits.ts";
import { tensorToMessage } from "../../../shared/wire/tensor_message.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { NO_PLANES } from "../../support/raw_session.ts";
import { travel } from "./travel.ts";

const TOKEN = Uint8Array.from({ length: 16 }, (_, i) => 200 + i);
const HEAD = { shape: [2, 4, 8, 9], wireDtype: "int8", sequence: 2 ** 32 - 1 } as const;

const command = (message: Message) => commandFromMessage(travel("Session", "request", message));
const event = (message: Message) => eventFromMessage(travel("Session", "response", message));

Deno.test("an open command comes through unchanged, with what its client wants of planes", () => {
  const config = {
    batch: 2,
    height: 8,
    width: 9,
    timesteps: [999, 0.5],
    encoderHiddenStates: randomTensor([2, 3, 4], 1),
    job: "picture 7",
    keepInputs: true,
    waitMs: 1500,
    canMove: true,
    jobSessions: 2,
  };
  const transport = {
    planes: ["shm", "grpc"],
    wireDtypes: { all: "f16", blocks: new Map<string, WireDtype>([["OUT08", "int8"]]) },
    gradientDtype: "bf16",
  } as const;
  const read = command(openToMessage(config, "hash", transport));
  assert.ok(read.kind === "open");
  assert.deepEqual(read.open, { ...config, modelHash: "hash", transport });
});

Deno.test("an open command shares no bytes with its message, which may be far larger", () => {
  const config = {
    ...{ batch: 2, height: 8, width: 9, timesteps: [1] },
    encoderHiddenStates: randomTensor([2, 3, 4], 1),
    addedCond: { pooledPromptEmbeds: randomTensor([2, 4], 2), timeIds: randomTensor([2, 6], 3) },
  };
  const read = command(openToMessage(config, "hash", NO_PLANES));
  assert.ok(read.kind === "open" && read.open.addedCond);
  const { encoderHiddenStates, addedCond } = read.open;
  assert.deepEqual(addedCond, config.addedCond);
  for (const { data } of [encoderHiddenStates, ...Object.values(addedCond)]) {
    assert.equal(data.buffer.byteLength, data.byteLength);
  }
});

Deno.test("a job's name that is too long is refused, not kept", () => {
  const config = {
    ...{ batch: 2, height: 8, width: 9, timesteps: [1] },
    encoderHiddenStates: randomTensor([2, 3, 4], 1),
  };
  const named = (length: number) =>
    command(openToMessage({ ...config, job: "j".repeat(length) }, "hash", NO_PLANES));
  assert.ok(named(256).kind === "open");
  assert.throws(() => named(257), {
    code: "INVALID_ARGUMENT",
    message: 'OpenSession.job must be at most 256 characters: current value is "257 characters"',
  });
});

Deno.test("timesteps that differ between rows come through unchanged, whole ones once for each row", () => {
  const config = {
    ...{ batch: 2, height: 8, width: 9, encoderHiddenStates: randomTensor([2, 3, 4], 1) },
    timesteps: [[999, 0.5], 7, [1, 1]],
  };
  const read = command(openToMessage(config, "hash", NO_PLANES));
  assert.ok(read.kind === "open");
  assert.deepEqual(read.open.timesteps, [[999, 0.5], [7, 7], [1, 1]]);
  const few = { ...config, timesteps: [[999]] };
  assert.throws(() => openToMessage(few, "hash", NO_PLANES), {
    message: /one for all rows or one for each of 2: current count is 1/,
  });
});

Deno.test("a client that knows no planes gets none, and f32", () => {
  const encoderHiddenStates = tensorToMessage(randomTensor([1, 3, 4], 1));
  const sizes = { batch: 1, height: 1, width: 1, timesteps: [1] };
  const read = command({ open: { modelHash: "h", ...sizes, encoderHiddenStates } });
  assert.ok(read.kind === "open");
  assert.deepEqual(read.open.transport, NO_PLANES);
  assert.equal(read.open.job, undefined);
  const { keepInputs, waitMs, canMove, jobSessions } = read.open;
  assert.deepEqual([keepInputs, waitMs, canMove, jobSessions], [false, 0, false, 1]);
});

Deno.test("a feature map comes in its message, or is announced", () => {
  const range = { stepIndex: 7, first: "IN00", last: "M00" };
  const hiddenStates = randomTensor([1, 2, 3, 4], 1);
  for (const carried of [{ hiddenStates }, { head: HEAD }] as const) {
    assert.deepEqual(command(forwardToMessage(range, carried)), {
      kind: "forward",
      range,
      input: carried,
    });
    const result = { output: carried, computeMs: 1.5, queueMs: 0.25, loadMs: 7.5 };
    assert.deepEqual(event(resultToMessage(result)), { kind: "result", ...result });
  }
});

Deno.test("the client's span comes with a range, and what is malformed is passed over", () => {
  const trace = {
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "b7ad6b7169203331",
    traceFlags: 1,
  };
  const range = { stepIndex: 7, first: "IN00", last: "M00" };
  const messages = [
    forwardToMessage({ ...range, trace }, { head: HEAD }),
    restoreToMessage({ ...range, trace }, { head: HEAD }),
    backwardToMessage({ ...range, trace }, HEAD),
  ];
  for (const message of messages) {
    const [kind, sent] = Object.entries(message)[0]!;
    const { traceparent } = sent as { traceparent: string };
    assert.equal(traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    const read = command(message);
    assert.deepEqual("range" in read && read.range, { ...range, trace });
    const malformed = [
      ...["", "00", traceparent.toUpperCase(), `${traceparent}-`, `01${traceparent.slice(2)}`],
      ...[traceparent.replace("b7ad6b7169203331", "0".repeat(16)), `${traceparent}\n`],
      traceparent.replace("0af7651916cd43dd8448eb211c80319c", "0".repeat(32)),
      "x".repeat(100_000),
    ];
    for (const value of malformed) {
      const without = command({ [kind]: { ...sent as Message, traceparent: value } });
      assert.deepEqual("range" in without && without.range, range, JSON.stringify(value));
    }
  }
});

Deno.test("a range of the way back and its gradients come through unchanged", () => {
  const range = { stepIndex: 7, first: "OUT03", last: "OUT05" };
  assert.deepEqual(command(backwardToMessage(range, HEAD)), {
    kind: "backward",
    range,
    gradOutput: HEAD,
  });
  const gradients = {
    gradHiddenStates: HEAD,
    gradSkips: [["IN06", { ...HEAD, sequence: 1 }], ["IN08", HEAD]],
    computeMs: 1.5,
    queueMs: 0.25,
  } as const;
  assert.deepEqual(event(gradientsToMessage(gradients)), { kind: "gradients", ...gradients });
});

Deno.test("offers, choices and pieces come through unchanged", () => {
  const offers = [
    { plane: "shm", address: "tutti-1-ab", token: TOKEN, regionBytes: 2 ** 40 },
    { plane: "tcp", address: ":7071", token: TOKEN, regionBytes: 0 },
  ] as const;
  const opened = {
    sessionId: "s1",
    arenaBytes: 7,
    offers,
    keepInputs: true,
    gradientDtype: "int8",
  } as const;
  const arrived = event(openedToMessage(opened));
  assert.deepEqual(plain(arrived), plain({ kind: "opened", ...opened }));
  assert.deepEqual(event(planeInUseToMessage("unix")), { kind: "planeInUse", plane: "unix" });
  const use = { plane: "tcp", proof: TOKEN } as const;
  assert.deepEqual(plain(command(usePlaneToMessage(use))), plain({ kind: "usePlane", use }));
  const data = new Uint8Array(MAX_PIECE_BYTES).fill(3);
  assert.deepEqual(plain(command(pieceToMessage(data))), plain({ kind: "piece", data }));
});

Deno.test("numbers that protobuf would bend are refused where they are sent", () => {
  const hiddenStates = randomTensor([1], 1);
  for (const stepIndex of [-1, 0.5, NaN, Infinity, 2 ** 32]) {
    const range = { stepIndex, first: "IN00", last: "IN00" };
    assert.throws(() => forwardToMessage(range, { hiddenStates }), { code: "OUT_OF_RANGE" });
  }
});

Deno.test("what a peer may get wrong about planes is refused by name", () => {
  const refused = (message: Message, pattern: RegExp) =>
    assert.throws(() => command(message), { code: "INVALID_ARGUMENT", message: pattern });
  refused(
    { usePlane: { plane: "PLANE_TCP", proof: new Uint8Array(15) } },
    /^UsePlane\.proof must be 16 bytes: current value is "15 bytes"$/,
  );
  refused({ usePlane: { plane: "PLANE_UNSPECIFIED" } }, /^UsePlane\.plane must be PLANE_/);
  refused({ piece: { data: new Uint8Array() } }, /^TensorPiece\.data must be 1 to 1048576 bytes/);
  refused(
    { piece: { data: new Uint8Array(MAX_PIECE_BYTES + 1) } },
    /must be 1 to 1048576 bytes: current value is "1048577 bytes"$/,
  );
  const forward = { stepIndex: 0, first: "IN00", last: "IN00" };
  refused(
    { forward: { ...forward, hiddenStatesHead: { shape: new Array(8).fill(2 ** 20) } } },
    /hidden_states_head\.shape must be of a tensor that can be/,
  );
  refused({ forward: { ...forward, hiddenStatesHead: { shape: [-1] } } }, /shape/);
  refused({ forward }, /^ForwardRange\.hidden_states must be set$/);
  refused({ backward: forward }, /^BackwardRange\.grad_output must be set$/);
  refused(
    { backward: { ...forward, first: "", gradOutput: { shape: [1] } } },
    /^BackwardRange\.first must be a non-empty string/,
  );
});

Deno.test("wireDtypeOf(): the noise is exact unless it is named", () => {
  const dtypes = { all: "f16", blocks: new Map<string, WireDtype>([["IN03", "bf16"]]) } as const;
  assert.equal(wireDtypeOf(dtypes, "IN02", "OUT11"), "f16");
  assert.equal(wireDtypeOf(dtypes, "IN03", "OUT11"), "bf16");
  assert.equal(wireDtypeOf(dtypes, "OUT11", "OUT11"), "f32");
  const named = { ...dtypes, blocks: new Map<string, WireDtype>([["OUT11", "f16"]]) };
  assert.equal(wireDtypeOf(named, "OUT11", "OUT11"), "f16");
});

/** Bytes as numbers: what arrives are Buffers. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, part) => {
    if (part instanceof Uint8Array) return [...part];
    return part?.type === "Buffer" ? part.data : part;
  }));
}
