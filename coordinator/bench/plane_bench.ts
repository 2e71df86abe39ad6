/**
 * How long a tensor takes to another process of this host and back, over each plane: shared memory (written once in each
 * direction and read in place, as a session does), a unix socket, tcp on loopback, gRPC as sessions use it and as it comes. The other process sends back what it got; every run checks that it did.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { fileURLToPath } from "node:url";
import { throwIfAborted, TuttiError } from "../../shared/errors.ts";
import { closeConn } from "../../shared/wire/plane/conn_io.ts";
import { randomToken } from "../../shared/wire/plane/greeting.ts";
import { type PlaneListener, startPlaneListener } from "../../shared/wire/plane/listener.ts";
import { createSharedMemory, type SharedMemory } from "../../shared/wire/plane/shared_memory.ts";
import { readLines, Tail } from "../cluster/process_output.ts";
import { type BenchFigure, measured } from "./bench_result.ts";
import { openGrpcTrip } from "./grpc_trip.ts";
import {
  BENCH_PLANES,
  type BenchPlane,
  type EchoOrder,
  type EchoReady,
  isGrpc,
  memoryTrip,
  PLANE_SIZES,
  planeSchedule,
  type PlaneSize,
  REGION_BYTES,
  type SocketToken,
  socketTrip,
  type Trip,
} from "./plane_trips.ts";

export interface PlaneBenchOptions {
  /** Round trips of each size over each plane that count. */
  readonly runs: number;
  /** All of them unless given. */
  readonly planes?: readonly BenchPlane[];
  readonly signal?: AbortSignal;
  /** Told before each run; those below 0 do not count. */
  readonly onRun?: (run: number) => void;
}

/** Until memory is there, sockets have grown and code is compiled; of fewer runs as many as count. */
const WARM_RUNS = 5;
const ECHO_PROGRAM = fileURLToPath(import.meta.resolve("./plane_echo.ts"));

/**
 * @returns `plane.shm.10MB` and so on, in ms there and back
 * @throws {TuttiError} INTERNAL if something else comes back than was sent, UNIMPLEMENTED without shared memory
 */
export async function benchPlane(options: PlaneBenchOptions): Promise<BenchFigure[]> {
  const planes = options.planes ?? BENCH_PLANES;
  const warmRuns = Math.min(WARM_RUNS, options.runs);
  const runs = warmRuns + options.runs;
  await using listener = await startPlaneListener({
    unix: true,
    tcp: { hostname: "127.0.0.1", port: 0 },
  });
  using memory = planes.includes("shm") ? createSharedMemory(REGION_BYTES) : undefined;
  const tokens = { shm: randomToken(), unix: randomToken(), tcp: randomToken() };
  await using echo = await startEcho(listener, { runs, planes, memory, tokens });
  using ends = new DisposableStack();
  const open = async (plane: BenchPlane): Promise<Trip> => {
    if (isGrpc(plane)) return ends.use(openGrpcTrip(plane, echo.ready[plane]!));
    const { conn } = await listener.expect(tokens[plane]).connection;
    ends.defer(() => closeConn(conn));
    return plane === "shm" ? memoryTrip(conn, memory!, 0) : socketTrip(conn);
  };
  const opening = Promise.all(planes.map(async (plane) => [plane, await open(plane)] as const));
  const trips = new Map(await Promise.race([opening, echo.failed]));
  return figuresOf(await Promise.race([roundTrips(trips, warmRuns, options), echo.failed]));
}

interface Timing {
  readonly plane: BenchPlane;
  readonly size: PlaneSize;
  readonly elapsedMs: number;
}

async function roundTrips(
  trips: ReadonlyMap<BenchPlane, Trip>,
  warmRuns: number,
  { runs, signal, onRun }: PlaneBenchOptions,
): Promise<Timing[]> {
  const largest = Math.max(...Object.values(PLANE_SIZES));
  const [sent, came] = [new Float32Array(largest), new Float32Array(largest)];
  sent.forEach((_, i) => sent[i] = i);
  const timings: Timing[] = [];
  let sequence = 0;
  let lastRun = -1;
  for (const { run, plane, size } of planeSchedule([...trips.keys()], warmRuns + runs)) {
    throwIfAborted(signal);
    if (run !== lastRun) onRun?.(run - warmRuns);
    lastRun = run;
    const elements = PLANE_SIZES[size];
    const [source, target] = [sent.subarray(0, elements), came.subarray(0, elements)];
    source[0] = sequence;
    target.fill(0);
    const trip = trips.get(plane)!;
    const start = performance.now();
    await trip.send(sequence, source);
    const arrived = await trip.receive(sequence, target);
    const elapsedMs = performance.now() - start;
    if (run >= warmRuns) timings.push({ plane, size, elapsedMs });
    if (!bytesOf(source).equals(bytesOf(arrived))) {
      throw new TuttiError("INTERNAL", `The ${plane} plane brought back other numbers`);
    }
    sequence++;
  }
  return timings;
}

function figuresOf(timings: readonly Timing[]): BenchFigure[] {
  const groups = Object.groupBy(timings, ({ plane, size }) => `plane.${plane}.${size}`);
  return Object.entries(groups).map(([name, group]) => {
    const bytes = 4 * PLANE_SIZES[group![0]!.size];
    const times = group!.map(({ elapsedMs }) => elapsedMs);
    return { ...measured(name, times, "ms"), conditions: { bytesEachWay: bytes } };
  });
}

interface Echo extends AsyncDisposable {
  readonly ready: EchoReady;
  /** Rejects if the process ends in an error. */
  readonly failed: Promise<never>;
}

async function startEcho(listener: PlaneListener, told: EchoTold): Promise<Echo> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", ECHO_PROGRAM],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Tail();
  const ended = Promise.all([child.status, errors.collect(child.stderr)]);
  const failed = ended.then(([{ success }]) => {
    if (success) return new Promise<never>(() => {});
    const reason = errors.text.trim();
    throw new TuttiError("INTERNAL", `The echoing process failed: ${reason}`);
  });
  failed.catch(() => {}); // Looked at where something is waited for.
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(orderOf(listener, told))));
  await writer.close();
  const lines = readLines(child.stdout);
  const stop = async () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await ended;
    await lines.return();
  };
  try {
    const { value } = await lines.next();
    const ready: EchoReady = JSON.parse(value ?? await failed);
    return { ready, failed, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface EchoTold {
  readonly runs: number;
  readonly planes: readonly BenchPlane[];
  readonly memory: SharedMemory | undefined;
  readonly tokens: Readonly<Record<SocketToken, Uint8Array>>;
}

function orderOf({ endpoints, failures }: PlaneListener, told: EchoTold): EchoOrder {
  if (failures[0]) throw failures[0];
  const { runs, planes, memory, tokens } = told;
  const unix = endpoints.find((endpoint) => endpoint.kind === "unix");
  const tcp = endpoints.find((endpoint) => endpoint.kind === "tcp");
  return {
    ...{ runs, planes, region: memory?.name ?? "" },
    unixPath: unix?.path ?? "",
    tcpPort: tcp?.port ?? 0,
    tokens: { shm: tokens.shm.toHex(), unix: tokens.unix.toHex(), tcp: tokens.tcp.toHex() },
  };
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
