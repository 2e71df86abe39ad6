/**
 * Frames of the socket planes, over a real socket. None that was damaged may be taken: what a reader accepts must be the
 * tensor that was sent, bit for bit.
 *
 * @module
 */

import assert from "node:assert/strict";
import { closeConn, writeFully } from "../../../shared/wire/plane/conn_io.ts";
import { readTensorFrame, writeTensorFrame } from "../../../shared/wire/plane/frame_stream.ts";
import { WIRE_DTYPES } from "../../../shared/wire/codec/wire_dtype.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { type FuzzTarget, outcomeOf } from "../fuzz.ts";

/** More than one block of int8, and no whole number of them. */
const ELEMENTS = 300;

export async function planeFrames(): Promise<FuzzTarget> {
  const folder = await tempFolder();
  const path = folder.join("plane.sock");
  const listener = Deno.listen({ transport: "unix", path });
  const connected = async () => {
    const [client, server] = await Promise.all([
      Deno.connect({ transport: "unix", path }),
      listener.accept(),
    ]);
    return { client, server };
  };
  const frames = WIRE_DTYPES.map((dtype, sequence) => ({ dtype, sequence, elements: ELEMENTS }));
  const source = randomTensor([ELEMENTS], 5).data;

  /** What the reader has after `write`; the writer's end is closed then. */
  const transfer = async (frame: number, write: (client: Deno.Conn) => Promise<unknown>) => {
    const { client, server } = await connected();
    const target = new Float32Array(ELEMENTS);
    try {
      const reading = readTensorFrame(server, frames[frame]!, target);
      reading.catch(() => {});
      // The reader may have hung up already.
      await write(client).catch(() => {});
      closeConn(client);
      await reading;
      return target;
    } finally {
      closeConn(client);
      closeConn(server);
    }
  };
  const sent: Uint8Array[] = [];
  const received: Float32Array[] = [];
  for (const [i, frame] of frames.entries()) {
    sent.push(await bytesOf(connected, frame, source));
    received.push(await transfer(i, (client) => writeTensorFrame(client, frame, source)));
  }
  return {
    name: "plane",
    seeds: sent,
    feed: (bytes, seed) =>
      outcomeOf(async () => {
        const target = await transfer(seed, (client) => writeFully(client, bytes));
        assert.deepEqual(target, received[seed], "a damaged frame was taken");
      }),
    async feedGood() {
      for (const [i, bytes] of sent.entries()) {
        assert.deepEqual(await transfer(i, (client) => writeFully(client, bytes)), received[i]);
      }
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** A frame as it travels. */
async function bytesOf(
  connected: () => Promise<{ client: Deno.Conn; server: Deno.Conn }>,
  frame: Parameters<typeof writeTensorFrame>[1],
  source: Float32Array,
): Promise<Uint8Array> {
  const { client, server } = await connected();
  const reading = new Response(server.readable).bytes();
  await writeTensorFrame(client, frame, source);
  closeConn(client);
  return await reading;
}
