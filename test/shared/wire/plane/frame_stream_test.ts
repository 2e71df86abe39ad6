import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { writeFully } from "../../../../shared/wire/plane/conn_io.ts";
import { HEADER_BYTES, TRAILER_BYTES } from "../../../../shared/wire/plane/frame.ts";
import {
  type ExpectedFrame,
  readTensorFrame,
  type TensorFrame,
  writeTensorFrame,
} from "../../../../shared/wire/plane/frame_stream.ts";
import { PIECE_ELEMENTS } from "../../../../shared/wire/plane/pieces.ts";
import { connPair, frameBytes, isClosed, readAll, wholeNumbers } from "./conn_pair.ts";
import { turns } from "../../../support/turns.ts";

const F32: TensorFrame = { sequence: 7, dtype: "f32" };
const INT8: TensorFrame = { sequence: 7, dtype: "int8" };
/** One that is copied together, one that is sent in place, one that is encoded. */
const FRAMES: readonly (readonly [string, TensorFrame, number])[] = [
  ["a small f32 frame", F32, 20],
  ["a large f32 frame", F32, 20_000],
  ["an encoded frame", INT8, 600],
];

/** Writes `bytes` as they are, then closes; the error that reading a frame from them ends in. */
async function readError(
  bytes: Uint8Array,
  expected: ExpectedFrame,
  stayOpen = false,
): Promise<(Error & { code?: string }) | undefined> {
  using pair = await connPair();
  const target = new Float32Array(expected.elements);
  const writing = writeFully(pair.left, bytes).then(() => stayOpen || pair.left.close());
  const error = await readTensorFrame(pair.right, expected, target).then(() => undefined, (e) => e);
  await writing.catch(() => {}); // The reader may have hung up.
  if (error !== undefined) assert.ok(isClosed(pair.right), "who notices an error closes");
  return error;
}

/** The good frame that is to come through after bad ones. */
async function nextGoodFrameWorks(): Promise<void> {
  for (const [, frame, elements] of FRAMES) {
    using pair = await connPair();
    const target = new Float32Array(elements);
    await Promise.all([
      writeTensorFrame(pair.left, frame, wholeNumbers(elements)),
      readTensorFrame(pair.right, { ...frame, elements }, target),
    ]);
    assert.deepEqual(target, wholeNumbers(elements));
  }
}

/** Every position of header and trailer, and `count` of the payload. */
function positions(length: number, count: number): number[] {
  const payload = length - HEADER_BYTES - TRAILER_BYTES;
  const step = Math.max(1, Math.floor(payload / count));
  return Array.from({ length }, (_, i) => i).filter((i) =>
    i < HEADER_BYTES || i >= length - TRAILER_BYTES || (i - HEADER_BYTES) % step === 0
  );
}

for (const kind of ["unix", "tcp"] as const) {
  Deno.test(`tensors of all sizes arrive over ${kind}, one after another on one connection`, async () => {
    using pair = await connPair(kind);
    const sizes = [0, 1, 255, 257, 16_384, 16_385, PIECE_ELEMENTS, PIECE_ELEMENTS + 1, 700_001];
    let sequence = 2 ** 32 - 20;
    for (const elements of sizes) {
      for (const frame of [F32, INT8]) {
        const numbered = { ...frame, sequence: sequence++ };
        // A part of something larger, at an odd place.
        const target = new Float32Array(elements + 2).fill(9);
        const [source, part] = [wholeNumbers(elements), target.subarray(1, elements + 1)];
        await Promise.all([
          writeTensorFrame(pair.left, numbered, source),
          readTensorFrame(pair.right, { ...numbered, elements }, part),
        ]);
        assert.deepEqual(part, source, `${frame.dtype} ${elements}`);
        assert.deepEqual([target[0], target.at(-1)], [9, 9]);
      }
    }
  });
}

Deno.test("f32 keeps every bit, also those of NaNs and of -0", async () => {
  const bits = new Uint32Array(20_000).map((_, i) => Math.imul(i, 2654435761));
  bits.set([0x7fc00001, 0xffffffff, 0x80000000, 1, 0x7f800001]);
  using pair = await connPair();
  const target = new Uint32Array(bits.length);
  await Promise.all([
    writeTensorFrame(pair.left, F32, new Float32Array(bits.buffer)),
    readTensorFrame(
      pair.right,
      { ...F32, elements: bits.length },
      new Float32Array(target.buffer),
    ),
  ]);
  assert.deepEqual(target, bits);
});

Deno.test("a frame is its header, its payload, its checksum, and nothing else", async () => {
  for (const [name, frame, elements] of FRAMES) {
    const bytes = await frameBytes(frame, wholeNumbers(elements));
    const payload = bytes.subarray(HEADER_BYTES, -TRAILER_BYTES);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    assert.equal(view.getBigUint64(16, true), BigInt(payload.length), name);
    assert.equal(view.getUint32(bytes.length - 4, true), crc32(payload), name);
    if (frame.dtype === "f32") {
      assert.deepEqual(payload, new Uint8Array(wholeNumbers(elements).buffer), name);
    }
  }
});

Deno.test("a frame cut at any byte ends in UNAVAILABLE, and the next good one works", async () => {
  for (const [name, frame, elements] of FRAMES) {
    const bytes = await frameBytes(frame, wholeNumbers(elements));
    for (const cut of positions(bytes.length, 12)) {
      const error = await readError(bytes.subarray(0, cut), { ...frame, elements });
      assert.equal(error?.code, "UNAVAILABLE", `${name} cut at ${cut}`);
    }
  }
  await nextGoodFrameWorks();
});

Deno.test("a frame with any bit flipped is not accepted, and the next good one works", async () => {
  for (const [name, frame, elements] of FRAMES) {
    const bytes = await frameBytes(frame, wholeNumbers(elements));
    const flips = positions(bytes.length, 40).flatMap((at) =>
      at < HEADER_BYTES || at >= bytes.length - TRAILER_BYTES
        ? [0, 1, 2, 3, 4, 5, 6, 7].map((bit) => [at, bit] as const)
        : [[at, at * 5 % 8] as const]
    );
    for (const [at, bit] of flips) {
      const flipped = bytes.slice();
      flipped[at]! ^= 1 << bit;
      // The connection stays open: a length that is believed would be waited for.
      const error = await readError(flipped, { ...frame, elements }, true);
      const code = at < 4 ? "INVALID_ARGUMENT" : "DATA_LOSS";
      assert.equal(error?.code, code, `${name}: bit ${bit} of byte ${at}`);
    }
  }
  await nextGoodFrameWorks();
});

Deno.test("a header alone is enough to refuse hostile lengths, other dtypes, replays and skips", async () => {
  for (const [, frame, elements] of FRAMES) {
    const bytes = await frameBytes(frame, wholeNumbers(elements));
    const expected = { ...frame, elements };
    const forge = (change: (view: DataView) => void) => {
      const header = bytes.slice(0, HEADER_BYTES);
      const view = new DataView(header.buffer);
      change(view);
      view.setUint32(28, crc32(header.subarray(0, 28)), true);
      return header;
    };
    const length = bytes.length - HEADER_BYTES - TRAILER_BYTES;
    const lengths = [0, 1, length - 1, length + 1, 2 ** 31, 2 ** 32 + length, 2 ** 53].map(BigInt);
    for (const claimed of [...lengths, 2n ** 63n, 2n ** 64n - 1n]) {
      const header = forge((view) => view.setBigUint64(16, claimed, true));
      const error = await readError(header, expected, true);
      assert.equal(error?.code, "INVALID_ARGUMENT");
      assert.match(
        error.message,
        new RegExp(`^Frame payload bytes must be ${length}: .* ${claimed}$`),
      );
    }
    for (const sequence of [0, 6, 8, 2 ** 32 - 1]) {
      const header = forge((view) => view.setUint32(8, sequence, true));
      const error = await readError(header, expected, true);
      assert.equal(error?.code, "INVALID_ARGUMENT");
      assert.match(error.message, new RegExp(`^Frame sequence must be 7: .* ${sequence}$`));
    }
    const error = await readError(forge((view) => view.setUint8(6, 2)), expected, true);
    assert.match(error!.message, /^Frame dtype must be (f32|int8): current value is f16$/);
  }
  await nextGoodFrameWorks();
});

Deno.test("the frame that came is refused when it comes again", async () => {
  using pair = await connPair();
  const target = new Float32Array(20);
  await writeTensorFrame(pair.left, F32, wholeNumbers(20));
  await writeTensorFrame(pair.left, F32, wholeNumbers(20));
  await readTensorFrame(pair.right, { ...F32, elements: 20 }, target);
  await assert.rejects(readTensorFrame(pair.right, { ...F32, sequence: 8, elements: 20 }, target), {
    code: "INVALID_ARGUMENT",
    message: "Frame sequence must be 8: current value is 7",
  });
});

Deno.test("a peer that sends one byte at a time is understood", async () => {
  for (const [name, frame, elements] of FRAMES.filter(([, , elements]) => elements < 1000)) {
    const bytes = await frameBytes(frame, wholeNumbers(elements));
    using pair = await connPair();
    const target = new Float32Array(elements);
    const reading = readTensorFrame(pair.right, { ...frame, elements }, target);
    for (let i = 0; i < bytes.length; i++) {
      await pair.left.write(bytes.subarray(i, i + 1));
      if (i % 3 === 0) await turns();
    }
    await reading;
    assert.deepEqual(target, wholeNumbers(elements), name);
  }
});

Deno.test("a peer that leaves in the middle of our frame is UNAVAILABLE", async () => {
  for (const frame of [F32, INT8]) {
    for (const kind of ["unix", "tcp"] as const) {
      using pair = await connPair(kind);
      const writing = writeTensorFrame(pair.left, frame, new Float32Array(20_000_000));
      await pair.right.read(new Uint8Array(100));
      pair.right.close();
      await assert.rejects(writing, { name: "PlaneError", code: "UNAVAILABLE" });
      assert.ok(isClosed(pair.left));
    }
  }
});

Deno.test("cancelling ends a write that nobody reads and a read that nobody answers", async () => {
  for (const kind of ["unix", "tcp"] as const) {
    using pair = await connPair(kind);
    const stop = new AbortController();
    const elements = 20_000_000;
    const writing = writeTensorFrame(pair.left, F32, new Float32Array(elements), stop.signal);
    const reading = readTensorFrame(
      pair.left,
      { ...F32, elements: 1 },
      new Float32Array(1),
      stop.signal,
    );
    // It is under way.
    await pair.right.read(new Uint8Array(100));
    stop.abort();
    await assert.rejects(writing, { code: "CANCELLED" });
    await assert.rejects(reading, { code: "CANCELLED" });
    assert.ok(isClosed(pair.left));
    await readAll(pair.right).catch(() => {});
    const late = writeTensorFrame(pair.left, F32, new Float32Array(1), stop.signal);
    await assert.rejects(late, { code: "CANCELLED" });
  }
});

Deno.test("what cannot be a frame is refused before a byte is sent", async () => {
  const bad: readonly [TensorFrame, RegExp][] = [
    [{ sequence: -1, dtype: "f32" }, /^Frame sequence must be 0 to 4294967295: .* -1$/],
    [{ sequence: 2 ** 32, dtype: "f32" }, /^Frame sequence/],
  ];
  for (const [frame, message] of bad) {
    using pair = await connPair();
    const refusal = { name: "PlaneError", code: "INVALID_ARGUMENT", message };
    await assert.rejects(writeTensorFrame(pair.left, frame, new Float32Array(3)), refusal);
    assert.equal((await readAll(pair.right)).length, 0);
  }
  using pair = await connPair();
  const short = readTensorFrame(pair.right, { ...F32, elements: 3 }, new Float32Array(2));
  await assert.rejects(short, { message: "Elements of the target must be 3: current value is 2" });
});
