/** Two ends of one connection, and bytes sent over it without regard to any protocol. @module */

import { closeConn } from "../../../../shared/wire/plane/conn_io.ts";
import { BLOCK_ELEMENTS } from "../../../../shared/wire/codec/wire_dtype.ts";
import type { TensorFrame } from "../../../../shared/wire/plane/frame_stream.ts";
import { writeTensorFrame } from "../../../../shared/wire/plane/frame_stream.ts";

export interface ConnPair extends Disposable {
  readonly left: Deno.Conn;
  readonly right: Deno.Conn;
}

export async function connPair(kind: "unix" | "tcp" = "tcp"): Promise<ConnPair> {
  const path = `/tmp/tutti-test-${crypto.randomUUID()}.sock`;
  const listener = kind === "unix"
    ? Deno.listen({ transport: "unix", path })
    : Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const accepted = listener.accept();
    const { addr } = listener;
    const left = addr.transport === "unix"
      ? await Deno.connect({ transport: "unix", path })
      : await Deno.connect({ hostname: "127.0.0.1", port: (addr as Deno.NetAddr).port });
    const right = await accepted;
    return {
      left,
      right,
      [Symbol.dispose]: () => {
        closeConn(left);
        closeConn(right);
      },
    };
  } finally {
    listener.close();
    if (kind === "unix") await Deno.remove(path).catch(() => {});
  }
}

export function isClosed(conn: Deno.Conn): boolean {
  try {
    conn.close();
    return false;
  } catch {
    return true;
  }
}

/** All that comes until the other end closes. */
export async function readAll(conn: Deno.Conn): Promise<Uint8Array> {
  return new Uint8Array(await new Response(conn.readable).arrayBuffer());
}

/** The bytes that a frame is. */
export async function frameBytes(frame: TensorFrame, source: Float32Array): Promise<Uint8Array> {
  using pair = await connPair();
  const all = readAll(pair.right);
  await writeTensorFrame(pair.left, frame, source);
  pair.left.close();
  return await all;
}

/** Whole numbers from -127 to 127, and 127 in each block: what int8 keeps. */
export function wholeNumbers(elements: number): Float32Array {
  return Float32Array.from(
    { length: elements },
    (_, i) => i % BLOCK_ELEMENTS === 0 ? 127 : i * 31 % 255 - 127,
  );
}
