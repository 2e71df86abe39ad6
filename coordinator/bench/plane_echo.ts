/**
 * The other process of the plane bench: reads its order from standard input, dials, and sends back what comes. For gRPC
 * it listens, as workers do, and says where in a line of JSON.
 *
 * @module
 */

import { printJson } from "../../shared/terminal/stdout.ts";
import { dialPlane, type PlaneEndpoint } from "../../shared/wire/plane/dial.ts";
import { openSharedMemory } from "../../shared/wire/plane/shared_memory.ts";
import { type GrpcEcho, startGrpcEcho } from "./grpc_trip.ts";
import {
  type BenchPlane,
  type EchoOrder,
  type EchoReady,
  isGrpc,
  memoryTrip,
  PLANE_SIZES,
  planeSchedule,
  REGION_BYTES,
  type SocketToken,
  socketTrip,
  type Trip,
} from "./plane_trips.ts";

const DIAL_TIMEOUT_MS = 5000;

export async function echoPlanes(order: EchoOrder): Promise<void> {
  const unix: PlaneEndpoint = { kind: "unix", path: order.unixPath };
  const tcp: PlaneEndpoint = { kind: "tcp", hostname: "127.0.0.1", port: order.tcpPort };
  const dial = async (plane: SocketToken) => {
    const token = Uint8Array.fromHex(order.tokens[plane]);
    return (await dialPlane(plane === "tcp" ? tcp : unix, token, DIAL_TIMEOUT_MS)).conn;
  };
  const servers = new Map<BenchPlane, GrpcEcho>();
  for (const plane of order.planes) {
    if (isGrpc(plane)) servers.set(plane, await startGrpcEcho(plane));
  }
  const ready = [...servers].map(([plane, { address }]) => [plane, address]);
  printJson(Object.fromEntries(ready) satisfies EchoReady);
  const trips = new Map<BenchPlane, Trip>();
  for (const plane of order.planes) {
    if (isGrpc(plane)) trips.set(plane, await servers.get(plane)!.trip);
    else if (plane === "shm") {
      const memory = openSharedMemory(order.region, REGION_BYTES);
      trips.set(plane, memoryTrip(await dial(plane), memory, 1));
    } else trips.set(plane, socketTrip(await dial(plane)));
  }
  const largest = new Float32Array(Math.max(...Object.values(PLANE_SIZES)));
  let sequence = 0;
  for (const { plane, size } of planeSchedule(order.planes, order.runs)) {
    const tensor = largest.subarray(0, PLANE_SIZES[size]);
    const trip = trips.get(plane)!;
    await trip.send(sequence, await trip.receive(sequence, tensor));
    sequence++;
  }
  for (const server of servers.values()) server.close();
}

if (import.meta.main) await echoPlanes(await new Response(Deno.stdin.readable).json());
