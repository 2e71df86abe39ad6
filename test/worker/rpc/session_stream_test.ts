import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { connect, constants } from "node:http2";
import {
  listWorkerSessions,
  readWorkerStatus,
} from "../../../coordinator/cluster/worker_status.ts";
import type { Expert } from "../../../shared/engine/expert.ts";
import { byteLength } from "../../../shared/tensor/tensor.ts";
import { openToMessage } from "../../../shared/wire/convert_session.ts";
import type { Message } from "../../../shared/wire/fields.ts";
import { workerService } from "../../../shared/wire/load_proto.ts";
import { errorFromMessage, errorFromStatus } from "../../../shared/wire/status.ts";
import { tensorToMessage } from "../../../shared/wire/tensor_message.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, randomTensor, sessionConfig } from "../../support/expert_inputs.ts";
import { Hold } from "../../support/hold.ts";
import { NO_PLANES, type RawEvent, RawSession } from "../../support/raw_session.ts";
import { eventually, serveExpert } from "../../support/serve_expert.ts";
import { delay } from "../../../coordinator/cluster/delay.ts";

async function openMessage(
  expert: Expert,
  changes: Message = {},
  size?: number,
): Promise<Message> {
  const config = await sessionConfig(expert, size);
  const { open } = openToMessage(config, expert.description.modelHash, NO_PLANES);
  return { open: { ...open as Message, ...changes } };
}

async function forwardMessage(expert: Expert, changes: Message = {}): Promise<Message> {
  const hiddenStates = latentsFor(expert.description, await sessionConfig(expert));
  const forward = { stepIndex: 0, first: "IN00", last: "IN00", ...changes };
  return { forward: { hiddenStates: tensorToMessage(hiddenStates), ...forward } };
}

/** The error inside an answer. */
function answeredError(answer: RawEvent) {
  assert.ok("event" in answer, `the stream ended: ${JSON.stringify(answer)}`);
  assert.equal(answer.event.event, "error");
  return errorFromMessage(answer.event.error);
}

/** The error that ended the stream. */
function endError(answer: RawEvent) {
  assert.ok("end" in answer && answer.error, "the stream goes on");
  const error = errorFromStatus(answer.error);
  assert.ok(error, `no trailer: ${answer.end} ${answer.details}`);
  assert.equal(error.code, answer.end);
  return error;
}

function assertAnswer(answer: RawEvent, kind: string) {
  assert.ok("event" in answer, `the stream ended: ${JSON.stringify(answer)}`);
  assert.equal(answer.event.event, kind, JSON.stringify(answer.event.error));
}

/** A whole good session on the worker: the proof that nothing stuck. */
async function assertServes(address: string, expert: Expert) {
  using raw = new RawSession(address);
  assertAnswer(await raw.ask(await openMessage(expert)), "opened");
  assertAnswer(await raw.ask(await forwardMessage(expert)), "result");
  assertAnswer(await raw.ask({ close: {} }), "closed");
}

async function assertFree(address: string) {
  const status = await readWorkerStatus(address);
  assert.equal(status.sessions, 0);
  assert.equal(status.arenaBytesUsed, 0);
}

Deno.test("session: open, forward, close are answered in order, also when sent at once", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  using raw = new RawSession(served.worker.address);
  raw.send(await openMessage(expert));
  raw.send(await forwardMessage(expert));
  raw.send(await forwardMessage(expert, { stepIndex: 1 }));
  raw.send({ close: {} });
  for (const kind of ["opened", "result", "result", "closed"]) assertAnswer(await raw.next(), kind);
  raw.stream.end();
  assert.deepEqual(await raw.next(), { end: "OK", details: "" });
  assert.equal(expert.openSessions, 0);
});

Deno.test("session: shows in the list with its sizes while it is open", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const { address } = served.worker;
  using raw = new RawSession(address);
  const opened = await raw.ask(await openMessage(expert));
  await raw.ask(await forwardMessage(expert, { stepIndex: 2 }));
  const [session, ...others] = await listWorkerSessions(address);
  assert.equal(others.length, 0);
  const { sessionId, arenaBytes } = ("event" in opened && opened.event.opened) as Message;
  const { peer, ageSeconds, idleSeconds, ...rest } = session!;
  const sizes = { batch: 2, height: 8, width: 8, timesteps: 3, stepIndex: 2 };
  assert.deepEqual(rest, { sessionId, arenaBytes, plane: undefined, ...sizes });
  assert.match(peer, /^127\.0\.0\.1:\d+$/);
  assert.ok(ageSeconds >= idleSeconds && ageSeconds < 60);
  assert.equal((await readWorkerStatus(address)).arenaBytesUsed, arenaBytes);
});

Deno.test("session: refuses commands before open", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const cases: [Message, string][] = [
    [await forwardMessage(expert), "FAILED_PRECONDITION"],
    [{ close: {} }, "FAILED_PRECONDITION"],
    [{}, "INVALID_ARGUMENT"],
  ];
  for (const [message, code] of cases) {
    using raw = new RawSession(served.worker.address);
    assert.equal(endError(await raw.ask(message)).code, code);
    await assertServes(served.worker.address, expert);
  }
});

Deno.test("session: refuses a second open and lives on", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  using raw = new RawSession(served.worker.address);
  assertAnswer(await raw.ask(await openMessage(expert)), "opened");
  assert.equal(
    answeredError(await raw.ask(await openMessage(expert))).code,
    "FAILED_PRECONDITION",
  );
  assert.equal(answeredError(await raw.ask({})).code, "INVALID_ARGUMENT");
  assertAnswer(await raw.ask(await forwardMessage(expert)), "result");
});

Deno.test("session: refuses another model, naming both hashes", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  using raw = new RawSession(served.worker.address);
  const modelHash = "c".repeat(64);
  const error = endError(await raw.ask(await openMessage(expert, { modelHash })));
  assert.equal(error.code, "FAILED_PRECONDITION");
  assert.ok(error.message.includes(modelHash) && error.message.includes("a".repeat(64)));
  assert.deepEqual([error.details.served, error.details.requested], ["a".repeat(64), modelHash]);
  await assertFree(served.worker.address);
  await assertServes(served.worker.address, expert);
});

Deno.test("session: refuses to open with wrong sizes, naming the field", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert, { limits: { maxTimesteps: 5, maxTokens: 20 } });
  const states = (shape: number[]) => tensorToMessage(randomTensor(shape, 1));
  const good = states([2, 7, 6]);
  const cases: [Message, RegExp][] = [
    [{ modelHash: "" }, /OpenSession\.model_hash must be a non-empty string/],
    [{ batch: 0 }, /OpenSession\.batch must be a whole number >= 1: current value is 0/],
    [{ batch: 33 }, /batch must be at most 32 on this worker: current value is 33/],
    [{ height: 0 }, /OpenSession\.height/],
    [{ height: 257 }, /height must be at most 256/],
    [{ width: 4_000_000_000 }, /width must be at most 256/],
    [{ timesteps: [] }, /timesteps must not be empty/],
    [{ timesteps: [1, 2, 3, 4, 5, 6] }, /timesteps must be at most 5/],
    [{ timesteps: [NaN] }, /OpenSession\.timesteps must be a list of finite numbers/],
    [
      { timesteps: [], rowTimesteps: [1, 2, 3] },
      /row_timesteps must be 2 entries for each step.*3/,
    ],
    [{ timesteps: [], rowTimesteps: [1, 2, 3, 4, 5, 6] }, /timesteps must be at most 5/],
    [{ timesteps: [], rowTimesteps: [1, NaN] }, /row_timesteps must be a list of finite numbers/],
    [{ rowTimesteps: [1, 2] }, /row_timesteps must be empty where timesteps are set/],
    [{ batch: 3 }, /encoder_hidden_states must be float32 \[3, L, 6\]: .* \[2, 7, 6\]/],
    [{ encoderHiddenStates: null }, /OpenSession\.encoder_hidden_states must be set/],
    [{ encoderHiddenStates: states([2, 7, 5]) }, /must be float32 \[2, L, 6\]/],
    [{ encoderHiddenStates: states([2, 0, 6]) }, /must be float32 \[2, L, 6\]/],
    [{ encoderHiddenStates: states([14, 6]) }, /must be float32 \[2, L, 6\]/],
    [{ encoderHiddenStates: states([2, 21, 6]) }, /tokens must be at most 20/],
    [{ encoderHiddenStates: { ...good, dtype: "DATA_TYPE_INT32" } }, /must be float32.* int32/],
    [{ encoderHiddenStates: { ...good, dtype: 77 } }, /must be float32: current dtype is 77/],
    [{ encoderHiddenStates: { ...good, dtype: 0 } }, /current dtype is DATA_TYPE_UNSPECIFIED/],
    [{ encoderHiddenStates: { ...good, shape: [2, 7, 7] } }, /must have 392 bytes: .* is 336/],
    [{ encoderHiddenStates: { ...good, shape: [-2, 7, -6] } }, /shape must be a whole number >= 0/],
    [{ encoderHiddenStates: { ...good, shape: [2 ** 62, 4, 0] } }, /shape must be a whole number/],
    [{ encoderHiddenStates: { ...good, shape: new Array(9).fill(1) } }, /at most 8 entries/],
    [{ encoderHiddenStates: { ...good, data: new Uint8Array(0) } }, /must have 336 bytes: .* is 0/],
  ];
  for (const [changes, message] of cases) {
    using raw = new RawSession(served.worker.address);
    const error = endError(await raw.ask(await openMessage(expert, changes)));
    assert.equal(error.code, "INVALID_ARGUMENT", error.message);
    assert.match(error.message, message);
  }
  await assertFree(served.worker.address);
  await assertServes(served.worker.address, expert);
});

Deno.test("session: answers a bad forward with its error and lives on", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  using raw = new RawSession(served.worker.address);
  assertAnswer(await raw.ask(await openMessage(expert)), "opened");
  const states = (shape: number[]) => tensorToMessage(randomTensor(shape, 1));
  const cases: [Message, string, RegExp][] = [
    [{ hiddenStates: states([2, 4, 8, 7]) }, "INVALID_ARGUMENT", /float32 \[2, 4, 8, 8\]/],
    [{ hiddenStates: states([1, 4, 8, 8]) }, "INVALID_ARGUMENT", /float32 \[2, 4, 8, 8\]/],
    [{ hiddenStates: states([512]) }, "INVALID_ARGUMENT", /float32 \[2, 4, 8, 8\]/],
    [{ hiddenStates: null }, "INVALID_ARGUMENT", /ForwardRange\.hidden_states must be set/],
    [
      { hiddenStates: { ...states([2, 4, 8, 8]), dtype: "DATA_TYPE_INT32" } },
      "INVALID_ARGUMENT",
      /must be float32: current dtype is int32/,
    ],
    [
      { hiddenStates: { ...states([2, 4, 8, 8]), dtype: "DATA_TYPE_FLOAT16" } },
      "INVALID_ARGUMENT",
      /must be float32: current dtype is float16/,
    ],
    [{ first: "IN99" }, "NOT_FOUND", /"IN99"/],
    [{ last: "nonsense" }, "NOT_FOUND", /"nonsense"/],
    [{ first: "" }, "INVALID_ARGUMENT", /ForwardRange\.first must be a non-empty string/],
    [{ first: "IN05", last: "IN05" }, "FAILED_PRECONDITION", /order/],
    [{ first: "IN02", last: "IN01" }, "FAILED_PRECONDITION", /order/],
    [{ stepIndex: 3 }, "OUT_OF_RANGE", /step_index must lie in 0\.\.2: current value is 3/],
    [{ stepIndex: 4_294_967_295 }, "OUT_OF_RANGE", /step_index/],
  ];
  for (const [changes, code, message] of cases) {
    const error = answeredError(await raw.ask(await forwardMessage(expert, changes)));
    assert.match(error.message, message);
    assert.equal(error.code, code, error.message);
    assertAnswer(await raw.ask(await forwardMessage(expert)), "result");
  }
});

Deno.test("session: reports NaN in an output as DATA_LOSS naming the block", async () => {
  const expert = new AffineExpert({ gains: { IN02: Infinity } });
  await using served = await serveExpert(expert);
  using raw = new RawSession(served.worker.address);
  assertAnswer(await raw.ask(await openMessage(expert)), "opened");
  const error = answeredError(await raw.ask(await forwardMessage(expert, { last: "M00" })));
  assert.equal(error.code, "DATA_LOSS");
  assert.equal(error.details.block, "IN02");
  assert.match(error.message, /IN02/);
  assertAnswer(await raw.ask(await forwardMessage(expert, { last: "IN01" })), "result");
});

Deno.test("session: a message over the limit ends it, frees it, and leaves the worker well", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert, { limits: { maxMessageBytes: 20_000 } });
  const { address } = served.worker;
  using raw = new RawSession(address);
  assertAnswer(await raw.ask(await openMessage(expert)), "opened");
  const hiddenStates = tensorToMessage(randomTensor([2, 4, 32, 32], 1));
  const answer = await raw.ask(await forwardMessage(expert, { hiddenStates }));
  assert.equal("end" in answer && answer.end, "RESOURCE_EXHAUSTED");
  await eventually(() => expert.openSessions === 0);
  await assertFree(address);
  await assertServes(address, expert);
});

Deno.test("session: refuses a size whose results would not fit in a message", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert, { limits: { maxMessageBytes: 20_000 } });
  using raw = new RawSession(served.worker.address);
  const error = endError(await raw.ask(await openMessage(expert, {}, 32)));
  assert.equal(error.code, "RESOURCE_EXHAUSTED");
  // 8 channels at full size, first reached where OUT08 enlarges.
  assert.match(error.message, /block "OUT08" would have 65536 bytes, .* at most 20000/);
  await assertServes(served.worker.address, expert);
});

Deno.test("session: admission by bytes names what was asked and what is left", async () => {
  const expert = new AffineExpert();
  const size = await openedBytes(expert);
  await using served = await serveExpert(expert, {
    limits: { sessionBytes: size, arenaBytes: 2 * size - 1 },
  });
  const { address } = served.worker;
  using first = new RawSession(address);
  assertAnswer(await first.ask(await openMessage(expert)), "opened");
  using second = new RawSession(address);
  const all = endError(await second.ask(await openMessage(expert)));
  assert.equal(all.code, "RESOURCE_EXHAUSTED");
  const { retry_after_ms: retryAfterMs, ...details } = all.details;
  assert.deepEqual(details, { limit: "arena_bytes", asked: String(size), left: String(size - 1) });
  assert.ok(Number(retryAfterMs) > 0);
  assert.ok(all.message.includes(`${size} bytes`) && all.message.includes(`${size - 1} are left`));
  using third = new RawSession(address);
  const one = endError(await third.ask(await openMessage(expert, {}, 16)));
  assert.equal(one.code, "RESOURCE_EXHAUSTED");
  assert.equal(one.details.limit, "session_bytes");
  assertAnswer(await first.ask({ close: {} }), "closed");
  await assertServes(address, expert);
});

Deno.test("session: admission by number", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert, { limits: { maxSessions: 1 } });
  using first = new RawSession(served.worker.address);
  assertAnswer(await first.ask(await openMessage(expert)), "opened");
  using second = new RawSession(served.worker.address);
  const error = endError(await second.ask(await openMessage(expert)));
  assert.equal(error.code, "RESOURCE_EXHAUSTED");
  assert.equal(error.details.limit, "max_sessions");
  assertAnswer(await first.ask({ close: {} }), "closed");
  await assertServes(served.worker.address, expert);
});

Deno.test("session: is closed when nothing is asked for the idle limit", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert, { limits: { idleLimitSeconds: 0.2 } });
  const open = await openMessage(expert);
  using raw = new RawSession(served.worker.address);
  assertAnswer(await raw.ask(open), "opened");
  const error = endError(await raw.next());
  assert.equal(error.code, "DEADLINE_EXCEEDED");
  assert.match(error.message, /0\.2 s/);
  assert.equal(expert.openSessions, 0);
  await assertFree(served.worker.address);
  using silent = new RawSession(served.worker.address);
  assert.equal(endError(await silent.next()).code, "DEADLINE_EXCEEDED");
});

Deno.test("session: a result that nobody reads is dropped with the session", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert, { limits: { idleLimitSeconds: 1 } });
  const size = 128; // Its feature maps are larger than the client's window.
  const config = await sessionConfig(expert, size);
  const hiddenStates = tensorToMessage(latentsFor(expert.description, config));
  const client = connect(`http://${served.worker.address}`);
  const path = "/tutti.v1.WorkerService/Session";
  const headers = { "content-type": "application/grpc", te: "trailers" };
  const stream = client.request({ ":method": "POST", ":path": path, ...headers });
  let isClosed = false;
  stream.on("close", () => isClosed = true);
  stream.on("error", () => {});
  stream.pause();
  const messages = [
    await openMessage(expert, {}, size),
    await forwardMessage(expert, { hiddenStates }),
  ];
  for (const message of messages) {
    const body = workerService().Session!.requestSerialize(message);
    const length = Buffer.alloc(5);
    length.writeUInt32BE(body.length, 1);
    stream.write(Buffer.concat([length, body]));
  }
  stream.end();
  await eventually(() => expert.openSessions === 1);
  await eventually(() => expert.openSessions === 0);
  let bytes = 0;
  stream.on("data", (data: Buffer) => bytes += data.length);
  await eventually(() => isClosed);
  assert.equal(stream.rstCode, constants.NGHTTP2_CANCEL);
  assert.ok(bytes < byteLength("float32", [2, 4, size, size]), "all of it came");
  await new Promise<void>((resolve) => client.close(resolve));
  await assertServes(served.worker.address, expert);
});

/** What a busy machine takes between two messages is less. */
const IDLE_SECONDS = 2;

Deno.test("session: a long block is not idleness", async () => {
  const expert = new AffineExpert({
    beforeBlock: () => delay(1.5 * IDLE_SECONDS * 1000),
  });
  await using served = await serveExpert(expert, { limits: { idleLimitSeconds: IDLE_SECONDS } });
  // So that nothing but the block takes long.
  const [open, forward] = [await openMessage(expert), await forwardMessage(expert)];
  using raw = new RawSession(served.worker.address);
  assertAnswer(await raw.ask(open), "opened");
  assertAnswer(await raw.ask(forward), "result");
});

Deno.test("session: ends and is freed with its client: half-close, cancel, lost connection", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const endings: ((raw: RawSession) => void)[] = [
    (raw) => raw.stream.end(),
    (raw) => raw.stream.cancel(),
    (raw) => raw[Symbol.dispose](),
  ];
  for (const end of endings) {
    using raw = new RawSession(served.worker.address);
    assertAnswer(await raw.ask(await openMessage(expert)), "opened");
    assert.equal(expert.openSessions, 1);
    end(raw);
    await eventually(() => expert.openSessions === 0);
    await assertFree(served.worker.address);
    await assertServes(served.worker.address, expert);
  }
});

async function openedBytes(expert: AffineExpert): Promise<number> {
  await using served = await serveExpert(expert);
  using raw = new RawSession(served.worker.address);
  const opened = await raw.ask(await openMessage(expert));
  return Number((("event" in opened && opened.event.opened) as Message).arenaBytes);
}

Deno.test("session: a later owner of the job ends it with FAILED_PRECONDITION, and it is refused from then on", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const { address } = served.worker;
  const open = (fence: number, job = "picture") => openMessage(expert, { job, fence });
  using old = new RawSession(address);
  assertAnswer(await old.ask(await open(3)), "opened");
  assertAnswer(await old.ask(await forwardMessage(expert)), "result");
  using other = new RawSession(address);
  assertAnswer(await other.ask(await open(1, "other")), "opened");

  using later = new RawSession(address);
  assertAnswer(await later.ask(await open(4)), "opened");
  // Without a command in between.
  const ended = endError(await old.next());
  assert.equal(ended.code, "FAILED_PRECONDITION");
  assert.deepEqual(ended.details, { field: "fence", job: "picture", fence: "3", newest: "4" });
  await eventually(() => expert.openSessions === 2);

  using back = new RawSession(address);
  assert.deepEqual(endError(await back.ask(await open(3))).details, ended.details);
  using wrong = new RawSession(address);
  assert.match(endError(await wrong.ask(await open(3, ""))).message, /fence needs OpenSession.job/);

  for (const session of [other, later]) {
    assertAnswer(await session.ask(await forwardMessage(expert)), "result");
    assertAnswer(await session.ask({ close: {} }), "closed");
  }
  await assertServes(address, expert);
  await assertFree(address);
});

Deno.test("session: a command that is being answered when a later owner comes is the last one", async () => {
  const hold = new Hold("IN01");
  const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
  await using served = await serveExpert(expert);
  const { address } = served.worker;
  using old = new RawSession(address);
  await old.ask(await openMessage(expert, { job: "picture", fence: 3 }));
  old.send(await forwardMessage(expert, { last: "IN01" }));
  await hold.reached;
  using later = new RawSession(address);
  await later.ask(await openMessage(expert, { job: "picture", fence: 4 }));
  hold.release();
  assertAnswer(await old.next(), "result");
  assert.equal(endError(await old.next()).details.field, "fence");
});
