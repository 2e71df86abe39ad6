import assert from "node:assert/strict";
import { ShapeError } from "../../../shared/errors.ts";
import { isFloat8 } from "../../../shared/tensor/float8.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { type DType, DTYPES } from "../../../shared/tensor/dtype.ts";
import { bytesOf, f32, tensorFromBytes } from "../../../shared/tensor/tensor.ts";
import type { Message } from "../../../shared/wire/fields.ts";
import { workerService } from "../../../shared/wire/load_proto.ts";
import { tensorFromMessage, tensorToMessage } from "../../../shared/wire/tensor_message.ts";

/** Through protobuf's bytes and back: the tensor field of a ForwardBlockRequest. */
function travel(message: Message, padding = ""): unknown {
  const { requestSerialize, requestDeserialize } = workerService().ForwardBlock!;
  const bytes = requestSerialize({ modelHash: padding, hiddenStates: message });
  return (requestDeserialize(bytes) as unknown as Message).hiddenStates;
}

Deno.test("tensors of every dtype but 8-bit floats come through protobuf with their bits", () => {
  const float8 = tensorFromBytes("float8_e5m2", [1], new Uint8Array(1));
  assert.throws(() => tensorToMessage(float8), /must not be of 8-bit floats/);
  for (const dtype of (Object.keys(DTYPES) as DType[]).filter((dtype) => !isFloat8(dtype))) {
    const bytes = Uint8Array.from({ length: 6 * DTYPES[dtype].bytes }, (_, i) => 37 * i + 5);
    const tensor = tensorFromBytes(dtype, [2, 1, 3], bytes);
    const arrived = tensorFromMessage(travel(tensorToMessage(tensor)), "T", dtype);
    assert.equal(arrived.dtype, dtype);
    assert.deepEqual(arrived.shape, [2, 1, 3]);
    assert.ok(bitEqual(bytesOf(arrived), bytes), dtype);
  }
});

Deno.test("tensors keep NaN payloads, -0 and subnormals", () => {
  const words = Uint32Array.of(0x7fc00001, 0xffbfffff, 0x80000000, 1, 0x7f800000);
  const tensor = f32([5], new Float32Array(words.buffer));
  const arrived = tensorFromMessage(travel(tensorToMessage(tensor)), "T", "float32");
  assert.ok(bitEqual(arrived.data, words));
});

Deno.test("tensors arrive whole at any alignment of the message's bytes", () => {
  const tensor = f32([3], [1.5, -2.25, 3]);
  for (let padding = 0; padding < 8; padding++) {
    const message = travel(tensorToMessage(tensor), "x".repeat(padding));
    const arrived = tensorFromMessage(message, "T", "float32");
    assert.deepEqual([...arrived.data], [1.5, -2.25, 3]);
  }
});

Deno.test("tensorFromMessage() does not copy aligned bytes", () => {
  const { buffer } = f32([4], [1, 2, 3, 4]).data;
  const message = { dtype: "DATA_TYPE_FLOAT32", shape: [2], data: new Uint8Array(buffer, 4, 8) };
  assert.equal(tensorFromMessage(message, "T", "float32").data.buffer, buffer);
});

Deno.test("tensors may be scalars or empty", () => {
  const scalar = tensorFromMessage(travel(tensorToMessage(f32([], [7]))), "T", "float32");
  assert.deepEqual([scalar.shape, [...scalar.data]], [[], [7]]);
  const empty = tensorFromMessage(travel(tensorToMessage(f32([2, 0]))), "T", "float32");
  assert.deepEqual([empty.shape, empty.data.length], [[2, 0], 0]);
});

Deno.test("tensorFromMessage() refuses what does not fit together, naming the field", () => {
  const good = tensorToMessage(f32([2, 3]));
  const cases: [unknown, RegExp][] = [
    [null, /^Req\.x must be set$/],
    [undefined, /^Req\.x must be set$/],
    ["text", /^Req\.x must be set$/],
    [{ ...good, dtype: "DATA_TYPE_FLOAT64" }, /Req\.x must be float32: current dtype is float64/],
    [{ ...good, dtype: "DATA_TYPE_UNSPECIFIED" }, /current dtype is DATA_TYPE_UNSPECIFIED/],
    [{ ...good, dtype: 99 }, /current dtype is 99/],
    [{ ...good, shape: [2, 4] }, /Req\.x, float32 \[2, 4\], must have 32 bytes: .* 24/],
    [{ ...good, shape: [2, 3, 0] }, /must have 0 bytes/],
    [{ ...good, shape: [-2, -3] }, /Req\.x\.shape must be a whole number >= 0: .* -2/],
    [{ ...good, shape: [2 ** 63] }, /Req\.x\.shape must be a whole number/],
    [{ ...good, shape: [2 ** 31, 2 ** 31, 2 ** 31] }, /must have 3\.96\d*e\+28 bytes/],
    [{ ...good, shape: [1, 1, 1, 1, 1, 1, 1, 2, 3] }, /a list of at most 8 entries/],
    [{ ...good, data: bytesOf(f32([5])) }, /must have 24 bytes: .* 20/],
    [{ ...good, data: "AAAA" }, /must have 24 bytes: .* 0/],
  ];
  for (const [message, expected] of cases) {
    assert.throws(() => tensorFromMessage(message, "Req.x", "float32"), {
      code: "INVALID_ARGUMENT",
      message: expected,
    });
  }
  assert.throws(() => tensorFromMessage(null, "Req.x", "float32"), ShapeError);
});
