import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { ConnectionWatch, REQUEST_LIMITS } from "../../../../shared/wire/http2/connection_watch.ts";
import { FLAG, FRAME } from "../../../../shared/wire/http2/frame_reader.ts";
import { HeaderSizes } from "../../../../shared/wire/http2/header_sizes.ts";
import { callHeaders, frame, header, PREFACE, references } from "../../../support/http2_bytes.ts";

const END = FLAG.END_HEADERS;
const LONG = "x".repeat(3900);

function call(stream: number, ...headers: Uint8Array[]): Buffer {
  return frame(FRAME.HEADERS, END, stream, Buffer.concat([callHeaders("/a/B"), ...headers]));
}

/** What a client says, from its first byte on. */
function said(...frames: Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from(PREFACE), frame(4, 0, 0, Buffer.alloc(0)), ...frames]);
}

function problemWith(...frames: Uint8Array[]): string | undefined {
  return new ConnectionWatch(true).problemWith(said(...frames));
}

Deno.test("a few bytes that name a long entry of the table many times are told before they are unpacked", () => {
  const kept = call(1, header("x-long", LONG, true));
  assert.equal(problemWith(kept, call(3, references(3))), undefined);
  assert.match(problemWith(kept, call(3, references(5)))!, /^headers of 2\d{4} bytes in one call/);
  assert.match(problemWith(call(1, references(130)))!, /^136 headers in one call: at most 64/);
});

Deno.test("headers count as long as they are when unpacked, and more if they are packed", () => {
  const sizes = new HeaderSizes();
  assert.deepEqual(sizes.measure(header("ab", "cde")), { fields: 1, bytes: 37 });
  // "www.example.com" as RFC 7541, C.4.1 packs it: 12 bytes for 15.
  const packed = Buffer.from("418cf1e3c2e5f23a6ba0ab90f4ff", "hex");
  const { fields, bytes } = sizes.measure(packed);
  assert.ok(fields === 1 && bytes >= 32 + ":authority".length + 15);
  assert.equal(sizes.measure(Buffer.of(0x80 | 62)).bytes, bytes, "the entry that was made of it");
  assert.deepEqual(sizes.measure(Buffer.of(0x3f, 0xe1, 0x1f)), { fields: 0, bytes: 0 });
});

Deno.test("headers in several frames, padded, with a priority are one list", () => {
  const first = Buffer.concat([
    Buffer.of(2),
    Buffer.alloc(5),
    header("x-long", LONG),
    Buffer.alloc(2),
  ]);
  const begun = frame(FRAME.HEADERS, FLAG.PADDED | FLAG.PRIORITY, 1, first);
  const rest = (value: string, flags: number) =>
    frame(FRAME.CONTINUATION, flags, 1, header("y", value));
  assert.equal(problemWith(begun, rest(LONG, 0), rest(LONG, END)), undefined);
  assert.match(
    problemWith(begun, ...Array.from({ length: 4 }, () => rest(LONG, 0)), rest("", END))!,
    /headers of \d+ bytes/,
  );
  assert.match(
    problemWith(begun, ...Array.from({ length: 8 }, () => rest("", 0)))!,
    /headers in more than 8 frames/,
  );
});

Deno.test("a peer that says goodbye again and again is told", () => {
  const goodbye = frame(FRAME.GOAWAY, 0, 0, Buffer.alloc(8));
  assert.equal(problemWith(goodbye, goodbye), undefined);
  assert.match(problemWith(...Array.from({ length: 9 }, () => goodbye))!, /goodbyes/);
});

Deno.test("what is found does not depend on where the pieces end, and tensors are passed over", () => {
  const data = frame(0, 0, 1, Buffer.alloc(16_384, FRAME.GOAWAY));
  const fine = said(call(1), data, data, call(3, header("x-long", LONG, true)), data);
  const bad = Buffer.concat([fine, call(5, references(REQUEST_LIMITS.fields))]);
  fc.assert(
    fc.property(fc.array(fc.nat(bad.length), { maxLength: 20 }), (cuts) => {
      const watch = new ConnectionWatch(true);
      const ends = [...cuts, bad.length].toSorted((a, b) => a - b);
      const problems = ends.map((end, i) => watch.problemWith(bad.subarray(ends[i - 1] ?? 0, end)));
      assert.match(problems.find((problem) => problem !== undefined)!, /70 headers/);
      assert.equal(new ConnectionWatch(true).problemWith(fine), undefined);
    }),
    { numRuns: 50 },
  );
});

Deno.test("any bytes as headers are measured or told, and take no time", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (block) => {
    const problem = problemWith(frame(FRAME.HEADERS, END, 1, block));
    assert.ok(problem === undefined || /headers/.test(problem));
  }));
});
