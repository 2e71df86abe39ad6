import assert from "node:assert/strict";
import { TuttiError } from "../../../shared/errors.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import {
  commandFromMessage,
  eventFromMessage,
  pieceToMessage,
} from "../../../shared/wire/convert_session.ts";
import type { Message } from "../../../shared/wire/fields.ts";
import { workerService } from "../../../shared/wire/load_proto.ts";
import { tensorFromMessage, tensorToMessage } from "../../../shared/wire/tensor_message.ts";

const DAMAGED = (error: unknown) => {
  assert.ok(error instanceof TuttiError);
  assert.deepEqual([error.code, error.details.state], ["DATA_LOSS", "damaged"]);
  assert.match(error.message, /crc32 must be \d+: current value is \d+; the bytes changed/);
  return true;
};

/** The message's bytes field with each of its bits turned, one at a time. */
function* turned({ data, ...rest }: Message): Generator<Message> {
  const bytes = data as Uint8Array;
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const copy = new Uint8Array(bytes);
    copy[bit >> 3]! ^= 1 << (bit & 7);
    yield { ...rest, data: copy };
  }
}

Deno.test("a tensor with any bit turned is refused, and one without a checksum is taken", () => {
  const good = tensorToMessage(f32([2, 3], [1, -2, 3.5, 0, 1e-20, 7]));
  for (const message of turned(good)) {
    assert.throws(() => tensorFromMessage(message, "T", "float32"), DAMAGED);
  }
  const { crc32: _, ...bare } = good;
  assert.equal(tensorFromMessage(bare, "T", "float32").data[2], 3.5);
});

Deno.test("so is a piece of a tensor, in both directions", () => {
  const { piece } = pieceToMessage(Uint8Array.from({ length: 40 }, (_, i) => i)) as {
    piece: Message;
  };
  for (const damaged of turned(piece)) {
    assert.throws(() => commandFromMessage({ command: "piece", piece: damaged }), DAMAGED);
    assert.throws(() => eventFromMessage({ event: "piece", piece: damaged }), DAMAGED);
  }
  const { data } = piece;
  assert.equal(commandFromMessage({ command: "piece", piece: { data } }).kind, "piece");
});

Deno.test("the checksum is that of zlib, and travels as a fixed number", () => {
  const { requestSerialize, requestDeserialize } = workerService().Session!;
  const message = pieceToMessage(new TextEncoder().encode("123456789"));
  const arrived = requestDeserialize(requestSerialize(message)) as unknown as { piece: Message };
  // The check value that every description of this CRC gives.
  assert.equal(arrived.piece.crc32, 0xcbf43926);
});
