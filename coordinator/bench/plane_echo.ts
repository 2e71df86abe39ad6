/**
 * The other process of the plane bench: reads its order from standard input, dials, and sends back what comes.
 *
 * @module
 */

import { dialPlane, type PlaneEndpoint } from "../../shared/wire/plane/dial.ts";
import { openSharedMemory } from "../../shared/wire/plane/shared_memory.ts";
import {
  type BenchPlane,
  type EchoOrder,
  memoryTrip,
  PLANE_SIZES,
  planeSchedule,
  REGION_BYTES,
  socketTrip,
  type Trip,
} from "./plane_trips.ts";

const DIAL_TIMEOUT_MS = 5000;

export async function echoPlanes(order: EchoOrder): Promise<void> {
  const unix: PlaneEndpoint = { kind: "unix", path: order.unixPath };
  const tcp: PlaneEndpoint = { kind: "tcp", hostname: "127.0.0.1", port: order.tcpPort };
  const dial = async (plane: BenchPlane) => {
    const token = Uint8Array.fromHex(order.tokens[plane]);
    return (await dialPlane(plane === "tcp" ? tcp : unix, token, DIAL_TIMEOUT_MS)).conn;
  };
  const trips = new Map<BenchPlane, Trip>();
  for (const plane of order.planes) {
    const conn = await dial(plane);
    trips.set(
      plane,
      plane === "shm"
        ? memoryTrip(conn, openSharedMemory(order.region, REGION_BYTES), 1)
        : socketTrip(conn),
    );
  }
  const largest = new Float32Array(Math.max(...Object.values(PLANE_SIZES)));
  let sequence = 0;
  for (const { plane, size } of planeSchedule(order.planes, order.runs)) {
    const tensor = largest.subarray(0, PLANE_SIZES[size]);
    const trip = trips.get(plane)!;
    await trip.receive(sequence, tensor);
    await trip.send(sequence, tensor);
    sequence++;
  }
}

if (import.meta.main) await echoPlanes(await new Response(Deno.stdin.readable).json());
