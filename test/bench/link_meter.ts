/**
 * What a link really gives, over plain TCP without any of our own protocol: round trip of a small message, and bytes a
 * second in each direction. One host serves, the other one asks.
 *
 * @module
 */

import { median } from "./step_model.ts";
import type { MeasuredLink } from "./step_model.ts";

export interface MeterServer extends AsyncDisposable {
  readonly port: number;
}

/** The first byte of a connection says what it is for. */
const MODE = { echo: 1, sink: 2, source: 3 } as const;
const BUFFER_BYTES = 2 ** 20;
const ROUND_TRIPS = 21;

export function serveMeter(hostname: string): MeterServer {
  const listener = Deno.listen({ hostname, port: 0 });
  const serving = (async () => {
    // A client that goes away ends its own connection only.
    for await (const connection of listener) answer(connection).catch(() => {});
  })();
  return {
    port: listener.addr.port,
    [Symbol.asyncDispose]: () => {
      listener.close();
      return serving;
    },
  };
}

async function answer(connection: Deno.TcpConn): Promise<void> {
  using _ = connection;
  connection.setNoDelay(true);
  const [mode] = await readExactly(connection, 1);
  if (mode === MODE.source) {
    const [count] = new Uint32Array((await readExactly(connection, 4)).buffer);
    return await writeZeros(connection, count!);
  }
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (;;) {
    const read = await connection.read(buffer);
    if (read === null) break;
    if (mode === MODE.echo) await writeAll(connection, buffer.subarray(0, read));
  }
  if (mode === MODE.sink) await writeAll(connection, Uint8Array.of(0)); // All was received.
}

/**
 * Measures the links to all meters at once, since a coordinator uses them so.
 *
 * @param bytes to move over each link, in each direction
 */
export async function measureLinks(
  meters: readonly Deno.ConnectOptions[],
  bytes: number,
): Promise<MeasuredLink> {
  const roundTrips = await Promise.all(meters.map(roundTripMs));
  const rate = async (move: (meter: Deno.ConnectOptions, bytes: number) => Promise<void>) => {
    const start = performance.now();
    await Promise.all(meters.map((meter) => move(meter, bytes)));
    return bytes / (performance.now() - start) * 1000;
  };
  return {
    sendBytesPerSecond: await rate(send),
    receiveBytesPerSecond: await rate(receive),
    roundTripMs: Math.max(...roundTrips),
  };
}

async function roundTripMs(meter: Deno.ConnectOptions): Promise<number> {
  using connection = await open(meter, MODE.echo);
  const times: number[] = [];
  for (let i = 0; i < ROUND_TRIPS; i++) {
    const start = performance.now();
    await writeAll(connection, new Uint8Array(64));
    await readExactly(connection, 64);
    times.push(performance.now() - start);
  }
  return median(times);
}

async function send(meter: Deno.ConnectOptions, bytes: number): Promise<void> {
  using connection = await open(meter, MODE.sink);
  await writeZeros(connection, bytes);
  await connection.closeWrite();
  await readExactly(connection, 1);
}

async function receive(meter: Deno.ConnectOptions, bytes: number): Promise<void> {
  using connection = await open(meter, MODE.source);
  await writeAll(connection, new Uint8Array(Uint32Array.of(bytes).buffer));
  const buffer = new Uint8Array(BUFFER_BYTES);
  while (await connection.read(buffer) !== null);
}

async function open(meter: Deno.ConnectOptions, mode: number): Promise<Deno.TcpConn> {
  const connection = await Deno.connect(meter);
  connection.setNoDelay(true);
  await writeAll(connection, Uint8Array.of(mode));
  return connection;
}

async function writeZeros(connection: Deno.TcpConn, count: number): Promise<void> {
  const zeros = new Uint8Array(BUFFER_BYTES);
  for (let left = count; left > 0; left -= BUFFER_BYTES) {
    await writeAll(connection, zeros.subarray(0, Math.min(left, BUFFER_BYTES)));
  }
}

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length;) {
    offset += await connection.write(bytes.subarray(offset));
  }
}

/** @throws {Deno.errors.UnexpectedEof} if the connection ends before */
async function readExactly(connection: Deno.TcpConn, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let offset = 0; offset < count;) {
    const read = await connection.read(bytes.subarray(offset));
    if (read === null) throw new Deno.errors.UnexpectedEof("The meter's connection ended");
    offset += read;
  }
  return bytes;
}
