/**
 * One tensor there and back, over each plane between two processes of one host: what both ends of the bench do.
 *
 * @module
 */

import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import { readTensorFrame, writeTensorFrame } from "../../shared/wire/plane/frame_stream.ts";
import type { SharedMemory } from "../../shared/wire/plane/shared_memory.ts";

/** Those of sessions, and gRPC as it comes. */
export const BENCH_PLANES = ["shm", "unix", "tcp", "grpc", "grpc-plain"] as const;

export type BenchPlane = typeof BENCH_PLANES[number];

export type GrpcPlane = Extract<BenchPlane, "grpc" | "grpc-plain">;

export function isGrpc(plane: BenchPlane): plane is GrpcPlane {
  return plane === "grpc" || plane === "grpc-plain";
}

/** f32 numbers of a control message. */
export const CONTROL_ELEMENTS = 16;

/** f32 numbers of a tensor; the names are those of the results. */
export const PLANE_SIZES = {
  /** 320 channels of 64 x 64, a batch of 2: what SD 1.5's blocks at full resolution mostly take at 512 px. */
  "10MB": 2 * 320 * 64 * 64,
  /** 1280 channels of 8 x 8: the smallest. */
  "0.33MB": 2 * 1280 * 8 * 8,
  "64B": CONTROL_ELEMENTS,
} as const;

export type PlaneSize = keyof typeof PLANE_SIZES;

export type Numbers = F32Tensor["data"];

/** One end of a plane. */
export interface Trip {
  send(sequence: number, source: Numbers): Promise<unknown>;
  /** @returns the tensor: `target`, or the memory in which it lies already. Valid until the next trip */
  receive(sequence: number, target: Numbers): Promise<Numbers>;
}

/** Trips of a run, one after the other: a control message is over before a process that has slept is awake. */
const TRIPS_PER_RUN: Readonly<Record<PlaneSize, number>> = { "10MB": 1, "0.33MB": 1, "64B": 20 };

/** Runs of all sizes over all planes by turns, so that all of them see the same other load. */
export function* planeSchedule(
  planes: readonly BenchPlane[],
  runs: number,
): Generator<{ run: number; plane: BenchPlane; size: PlaneSize }> {
  for (let run = 0; run < runs; run++) {
    for (const size of Object.keys(PLANE_SIZES) as PlaneSize[]) {
      for (const plane of planes) {
        for (let trip = 0; trip < TRIPS_PER_RUN[size]; trip++) yield { run, plane, size };
      }
    }
  }
}

export function socketTrip(conn: Deno.Conn): Trip {
  return {
    send: (sequence, source) => writeTensorFrame(conn, { sequence, dtype: "f32" }, source),
    receive: async (sequence, target) => {
      await readTensorFrame(conn, { sequence, dtype: "f32", elements: target.length }, target);
      return target;
    },
  };
}

const BELL = new Float32Array(1);

/**
 * A region whose halves are the two directions; a frame of one number on a socket is the bell. As in a session, whoever
 * receives works where the tensor lies; the copy into the region stands for what wrote it there.
 *
 * @param outbox 0 for the one end, 1 for the other
 */
export function memoryTrip(conn: Deno.Conn, memory: SharedMemory, outbox: 0 | 1): Trip {
  const bell = socketTrip(conn);
  const half = memory.buffer.byteLength / 2;
  const box = (index: number, elements: number) =>
    new Float32Array(memory.buffer, index * half, elements);
  return {
    send: (sequence, source) => {
      box(outbox, source.length).set(source);
      return bell.send(sequence, BELL);
    },
    receive: async (sequence, target) => {
      await bell.receive(sequence, BELL);
      return box(1 - outbox, target.length);
    },
  };
}

/** Of both directions. */
export const REGION_BYTES = 2 * 4 * Math.max(...Object.values(PLANE_SIZES));

/** What the echoing process is told. Values are in hex. */
export interface EchoOrder {
  readonly runs: number;
  readonly planes: readonly BenchPlane[];
  readonly region: string;
  readonly unixPath: string;
  readonly tcpPort: number;
  readonly tokens: Readonly<Record<SocketToken, string>>;
}

/** Planes that a connection of its own opens; that of shared memory is its bell. */
export type SocketToken = Extract<BenchPlane, "shm" | "unix" | "tcp">;

/** What the echoing process says before it dials: where its servers listen. */
export type EchoReady = Partial<Record<BenchPlane, string>>;
