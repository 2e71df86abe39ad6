/** What a client that is no friend can do to a session's planes: one clear answer, and the next good request works. */

import assert from "node:assert/strict";
import { headToMessage, type PlaneOffer } from "../../shared/wire/convert_plane.ts";
import {
  eventFromMessage,
  openToMessage,
  pieceToMessage,
  type SessionEvent,
} from "../../shared/wire/convert_session.ts";
import type { Message } from "../../shared/wire/fields.ts";
import { errorFromMessage } from "../../shared/wire/status.ts";
import { closeConn } from "../../shared/wire/plane/conn_io.ts";
import { dialPlane } from "../../shared/wire/plane/dial.ts";
import { encodeHeader, HEADER_BYTES } from "../../shared/wire/plane/frame.ts";
import { PLANE_KINDS, type PlaneKind } from "../../shared/wire/plane/plane_kind.ts";
import { answerQuestion } from "../../shared/wire/plane/region_probe.ts";
import { openSharedMemory } from "../../shared/wire/plane/shared_memory.ts";
import { AffineExpert } from "../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../support/expert_inputs.ts";
import { NO_PLANES, RawSession } from "../support/raw_session.ts";
import { eventually, type ServedExpert, serveExpert } from "../support/serve_expert.ts";

const expert = new AffineExpert();
const LATENTS = [2, 4, 8, 8];
const RANGE = { stepIndex: 0, first: "IN00", last: "IN00" };

/** A session that was offered every plane and has taken none. */
async function openRaw(
  { worker }: ServedExpert,
): Promise<Disposable & { raw: RawSession; offers: readonly PlaneOffer[] }> {
  const raw = new RawSession(worker.address);
  const config = await sessionConfig(expert);
  const transport = { ...NO_PLANES, planes: PLANE_KINDS };
  const open = openToMessage(config, expert.description.modelHash, transport);
  const opened = eventOf(await raw.ask(open));
  assert.ok(opened.kind === "opened");
  return { raw, offers: opened.offers, [Symbol.dispose]: () => raw[Symbol.dispose]() };
}

function eventOf(answer: Awaited<ReturnType<RawSession["next"]>>): SessionEvent {
  assert.ok("event" in answer, JSON.stringify(answer));
  return eventFromMessage(answer.event);
}

async function assertRefused(
  raw: RawSession,
  message: Message,
  expected: { readonly code: string; readonly message: RegExp },
): Promise<void> {
  const event = eventOf(await raw.ask(message));
  assert.ok(event.kind === "error", event.kind);
  const error = errorFromMessage(event.error);
  assert.equal(error.code, expected.code, error.message);
  assert.match(error.message, expected.message);
}

/** A feature map in its message: always allowed. */
function inlineForward(): Message {
  const { dtype: _, shape, data } = latentsFor(expert.description, {
    ...{ batch: 2, height: 8, width: 8, timesteps: [] },
    encoderHiddenStates: { dtype: "float32", shape: [0], data: new Float32Array() },
  });
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return {
    forward: { ...RANGE, hiddenStates: { dtype: "DATA_TYPE_FLOAT32", shape, data: bytes } },
  };
}

function announce(
  head: Partial<{ shape: number[]; wireDtype: "f32" | "f16"; sequence: number }> = {},
): Message {
  const hiddenStatesHead = headToMessage({
    ...{ shape: LATENTS, wireDtype: "f32", sequence: 0 },
    ...head,
  });
  return { forward: { ...RANGE, hiddenStatesHead } };
}

const usePlane = (plane: string, proof = new Uint8Array()) => ({ usePlane: { plane, proof } });

async function assertServes(served: ServedExpert): Promise<void> {
  const session = await served.remote.openSession(await sessionConfig(served.remote));
  const hiddenStates = latentsFor(expert.description, await sessionConfig(served.remote));
  await session.forward({ ...RANGE, hiddenStates });
  await session.close();
}

Deno.test("a plane is not taken without proof, and the session goes on without", async () => {
  await using served = await serveExpert(expert);
  using opened = await openRaw(served);
  const { raw, offers } = opened;
  const refused = (message: Message, pattern: RegExp) =>
    assertRefused(raw, message, { code: "FAILED_PRECONDITION", message: pattern });
  await refused(usePlane("PLANE_SHM"), /the region does not hold the token's inverse$/);
  await refused(usePlane("PLANE_TCP", new Uint8Array(16)), /nobody has connected with its token$/);
  const { address, token } = offers.find(({ plane }) => plane === "unix")!;
  const { conn, serverNonce } = await dialPlane({ kind: "unix", path: address }, token, 1000);
  const wrong = serverNonce.map((byte) => byte ^ 1);
  await refused(usePlane("PLANE_UNIX", wrong), /the proof is not the one/);
  await refused(announce(), /a feature map was announced on a plane, and the session uses none/i);
  assert.equal(eventOf(await raw.ask(inlineForward())).kind, "result");
  // Choosing one for good takes the others away.
  assert.equal(eventOf(await raw.ask(usePlane("PLANE_GRPC"))).kind, "planeInUse");
  await refused(usePlane("PLANE_UNIX", serverNonce), /it was not offered$/);
  await refused(usePlane("PLANE_SHM"), /it was not offered$/);
  closeConn(conn);
  await assertServes(served);
});

Deno.test("announced tensors of the wrong shape, number or dtype are refused by name", async () => {
  await using served = await serveExpert(expert);
  using opened = await openRaw(served);
  const { raw, offers } = opened;
  const { address, token, regionBytes } = offers.find(({ plane }) => plane === "shm")!;
  using region = openSharedMemory(address, regionBytes);
  assert.ok(answerQuestion(region.buffer, token));
  assert.equal(eventOf(await raw.ask(usePlane("PLANE_SHM"))).kind, "planeInUse");
  const refused = (message: Message, pattern: RegExp) =>
    assertRefused(raw, message, { code: "INVALID_ARGUMENT", message: pattern });
  await refused(announce({ sequence: 1 }), /^sequence must be 0: current value is 1$/);
  await refused(announce({ shape: [2, 4, 8, 9] }), /^hidden_states must be float32 \[2, 4, 8, 8\]/);
  await refused(announce({ wireDtype: "f16", sequence: 1 }), /^wire_dtype must be f32/);
  assert.equal(eventOf(await raw.ask(announce({ sequence: 2 }))).kind, "result");
  await refused(announce({ sequence: 2 }), /^sequence must be 3: current value is 2$/);
  await assertServes(served);
});

Deno.test("pieces that nobody announced are passed over, and wrong ones end their tensor", async () => {
  await using served = await serveExpert(expert);
  using opened = await openRaw(served);
  const { raw } = opened;
  const piece = pieceToMessage(new Uint8Array(2048));
  raw.send(piece);
  assert.equal(eventOf(await raw.ask(usePlane("PLANE_GRPC"))).kind, "planeInUse");
  raw.send(announce());
  const short = pieceToMessage(new Uint8Array(2047));
  await assertRefused(raw, short, {
    code: "INVALID_ARGUMENT",
    message: /Bytes of a tensor's piece must be 2048: current value is 2047$/,
  });
  raw.send(piece);
  assert.equal(eventOf(await raw.ask(usePlane("PLANE_GRPC"))).kind, "planeInUse");
  raw.send(announce());
  assert.equal(eventOf(await raw.ask(piece)).kind, "result");
  await assertServes(served);
});

Deno.test("a socket plane: wrong frames, a cut and silence cost the plane and nothing else", async () => {
  await using served = await serveExpert(expert, { limits: { idleLimitSeconds: 2 } });
  const header = (change: (bytes: Uint8Array) => void) => {
    const bytes = new Uint8Array(HEADER_BYTES);
    encodeHeader({ kind: "tensor", dtype: "f32", sequence: 0, payloadBytes: 2048 }, bytes);
    change(bytes);
    return bytes;
  };
  const cases: readonly (readonly [string, Uint8Array, string])[] = [
    ["a flipped bit in the header", header((bytes) => bytes[17]! ^= 4), "DATA_LOSS"],
    ["another sequence", replaced({ sequence: 1 }), "INVALID_ARGUMENT"],
    ["a hostile length", replaced({ payloadBytes: 2 ** 50 }), "INVALID_ARGUMENT"],
    ["a cut in the header", header(() => {}).subarray(0, 11), "UNAVAILABLE"],
    ["a cut in the payload", header(() => {}), "UNAVAILABLE"],
  ];
  for (const [name, bytes, code] of cases) {
    for (const kind of ["unix", "tcp"] as const) {
      using opened = await openRaw(served);
      const { raw, offers } = opened;
      const conn = await takeSocket(kind, raw, offers, served.worker.address);
      await conn.write(bytes);
      // What is complete is refused as it is; what is cut is missed when the other end goes.
      if (code === "UNAVAILABLE") closeConn(conn);
      await assertRefused(raw, announce(), {
        code,
        message: new RegExp(`^The ${kind} plane failed: `),
      });
      assert.equal(eventOf(await raw.ask(inlineForward())).kind, "result", name);
      assert.equal(eventOf(await raw.ask(usePlane("PLANE_GRPC"))).kind, "planeInUse", name);
      closeConn(conn);
    }
  }
  using opened = await openRaw(served);
  const conn = await takeSocket("unix", opened.raw, opened.offers, served.worker.address);
  await assertRefused(opened.raw, announce(), {
    code: "DEADLINE_EXCEEDED",
    message: /^The unix plane failed: a tensor did not travel within 2 s, the worker's limit$/,
  });
  closeConn(conn);
  await assertServes(served);
});

/** A header that is whole and means something else. */
function replaced(change: { sequence?: number; payloadBytes?: number }): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  encodeHeader(
    { kind: "tensor", dtype: "f32", sequence: 0, payloadBytes: 2048, ...change },
    bytes,
  );
  return bytes;
}

async function takeSocket(
  kind: PlaneKind & ("unix" | "tcp"),
  raw: RawSession,
  offers: readonly PlaneOffer[],
  worker: string,
): Promise<Deno.Conn> {
  const { address, token } = offers.find(({ plane }) => plane === kind)!;
  const endpoint = kind === "unix"
    ? { kind, path: address }
    : { kind, hostname: worker.split(":")[0]!, port: Number(address.slice(1)) };
  const { conn, serverNonce } = await dialPlane(endpoint, token, 1000);
  const name = kind === "unix" ? "PLANE_UNIX" : "PLANE_TCP";
  assert.equal(eventOf(await raw.ask(usePlane(name, serverNonce))).kind, "planeInUse");
  return conn;
}

Deno.test("clients that vanish with a plane in use leave nothing on the worker", async () => {
  const mine = new AffineExpert();
  await using served = await serveExpert(mine);
  const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;
  await assertServes(served);
  const before = descriptors();
  for (const kind of ["unix", "tcp"] as const) {
    const { raw, offers } = await openRaw(served);
    const conn = await takeSocket(kind, raw, offers, served.worker.address);
    raw.send(announce());
    closeConn(conn);
    raw[Symbol.dispose]();
    await eventually(() => mine.openSessions === 0);
  }
  await eventually(() => descriptors() <= before);
  await assertServes(served);
});
