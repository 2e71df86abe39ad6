import assert from "node:assert/strict";
import { Metadata } from "@grpc/grpc-js";
import {
  type Code,
  CODES,
  FormatError,
  ShapeError,
  TuttiError,
  UsageError,
  WorkerError,
} from "../../../shared/errors.ts";
import {
  codeFromNumber,
  ERROR_TRAILER,
  errorFromMessage,
  errorFromStatus,
  errorToMessage,
  errorToStatus,
} from "../../../shared/wire/status.ts";
import { MAX_ERROR_BYTES } from "../../../shared/wire/limits.ts";

const DETAILS = { block: "IN03", tensor: "temb" };

Deno.test("every code has a number on the wire and comes back by it", () => {
  for (const code of Object.keys(CODES) as Code[]) {
    assert.equal(codeFromNumber(CODES[code]), code);
  }
  assert.equal(codeFromNumber(0), "UNKNOWN");
  assert.equal(codeFromNumber(99), "UNKNOWN");
});

Deno.test("errors keep class, code, message and details, in a status and in a message", () => {
  const errors = [
    new ShapeError("temb must be …", { details: DETAILS }),
    new FormatError("cut off", { details: DETAILS }),
    new WorkerError("UNAVAILABLE", "stopping", { details: DETAILS }),
    new TuttiError("DATA_LOSS", 'NaN \u{1f3b5} in "M00"', { details: {} }),
    ...(Object.keys(CODES) as Code[]).map((code) => new TuttiError(code, code)),
  ];
  for (const error of errors) {
    const status = errorToStatus(error);
    assert.equal(status.code, CODES[error.code]);
    assert.equal(status.details, error.message);
    for (const arrived of [errorFromStatus(status), errorFromMessage(errorToMessage(error))]) {
      assert.ok(arrived);
      assert.equal(arrived.constructor, error.constructor);
      assert.equal(arrived.code, error.code);
      assert.equal(arrived.message, error.message);
      assert.deepEqual({ ...arrived.details }, { ...error.details });
    }
  }
});

Deno.test("a wrong use of the worker's own command line is no wrong use of ours", () => {
  const arrived = errorFromMessage(errorToMessage(new UsageError("bad flag")));
  assert.ok(!(arrived instanceof UsageError));
  assert.equal(arrived.code, "INVALID_ARGUMENT");
});

Deno.test("errors that are not ours become statuses too", () => {
  assert.equal(errorToStatus(new RangeError("oops")).code, CODES.UNKNOWN);
  assert.equal(errorToStatus("a string").details, "a string");
  const abort = errorToStatus(new DOMException("x", "AbortError"));
  assert.equal(abort.code, CODES.CANCELLED);
});

Deno.test("a long error is cut to what a trailer holds", () => {
  const details = Object.fromEntries(
    Array.from({ length: 500 }, (_, i) => [`key${i}`, "\u20ac".repeat(5000)]),
  );
  const status = errorToStatus(new ShapeError("\u20ac".repeat(100_000), { details }));
  const [trailer] = status.metadata.get(ERROR_TRAILER) as Uint8Array[];
  assert.ok(trailer!.byteLength <= MAX_ERROR_BYTES);
  const arrived = errorFromStatus(status);
  assert.ok(arrived instanceof ShapeError);
  assert.equal(arrived.message.length, 1000);
  assert.ok(arrived.message.endsWith("\u2026"));
});

Deno.test("text with half a character does not break the status", () => {
  const status = errorToStatus(
    new TuttiError("INTERNAL", "half \ud83d", { details: { "\udc00": "\ud800" } }),
  );
  // What grpc-js does to a status message.
  assert.doesNotThrow(() => encodeURI(status.details));
  assert.equal(errorFromStatus(status)!.message, "half \ufffd");
});

Deno.test("errorFromStatus() ignores trailers that are absent or not ours", () => {
  const trailers = ["", "nonsense", "[]", "null", "7", '{"details":"x"}', '{"message":5}'];
  assert.equal(errorFromStatus({ metadata: new Metadata() }), undefined);
  for (const text of trailers) {
    const metadata = new Metadata();
    metadata.set(ERROR_TRAILER, Buffer.from(text));
    const error = errorFromStatus({ metadata });
    assert.ok(error === undefined || error.code === "UNKNOWN", text);
  }
  const metadata = new Metadata();
  metadata.set(
    ERROR_TRAILER,
    Buffer.from('{"code":"toString","kind":"constructor","message":"m"}'),
  );
  assert.equal(errorFromStatus({ metadata })?.code, "UNKNOWN");
});
