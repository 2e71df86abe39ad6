/**
 * How long a tensor takes to another process of this host and back, over each plane: shared memory (with the copies in
 * and out, which a lane that works in place does not need), a unix socket, tcp on loopback. The other process sends
 * back what it got; every run checks that it did.
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
import {
  BENCH_PLANES,
  type BenchPlane,
  type EchoOrder,
  memoryTrip,
  PLANE_SIZES,
  planeSchedule,
  type PlaneSize,
  REGION_BYTES,
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

/** Milliseconds of a round trip. */
export interface PlaneBenchRow {
  readonly plane: BenchPlane;
  readonly size: PlaneSize;
  /** Each way. */
  readonly bytes: number;
  readonly medianMs: number;
  readonly bestMs: number;
  /** The spread: a tenth of the runs was faster, a tenth was slower. */
  readonly p10Ms: number;
  readonly p90Ms: number;
}

/** Until memory is there, sockets have grown and code is compiled. */
const WARM_RUNS = 5;
const ECHO_PROGRAM = fileURLToPath(import.meta.resolve("./plane_echo.ts"));

/** @throws {TuttiError} INTERNAL if something else comes back than was sent, UNIMPLEMENTED without shared memory */
export async function benchPlane(options: PlaneBenchOptions): Promise<PlaneBenchRow[]> {
  const planes = options.planes ?? BENCH_PLANES;
  const runs = WARM_RUNS + options.runs;
  await using listener = await startPlaneListener({
    unix: true,
    tcp: { hostname: "127.0.0.1", port: 0 },
  });
  using memory = planes.includes("shm") ? createSharedMemory(REGION_BYTES) : undefined;
  const tokens = { shm: randomToken(), unix: randomToken(), tcp: randomToken() };
  const expected = planes.map((plane) => listener.expect(tokens[plane]).connection);
  await using echo = await startEcho(listener, { runs, planes, memory, tokens });
  const connections = await Promise.race([Promise.all(expected), echo.failed]);
  const conns = connections.map(({ conn }) => conn);
  try {
    const trips = new Map(
      planes.map((plane, i) => [
        plane,
        plane === "shm" ? memoryTrip(conns[i]!, memory!, 0) : socketTrip(conns[i]!),
      ]),
    );
    return rowsOf(await Promise.race([roundTrips(trips, runs, options), echo.failed]));
  } finally {
    for (const conn of conns) closeConn(conn);
  }
}

interface Timing {
  readonly plane: BenchPlane;
  readonly size: PlaneSize;
  readonly elapsedMs: number;
}

async function roundTrips(
  trips: ReadonlyMap<BenchPlane, Trip>,
  runs: number,
  { signal, onRun }: PlaneBenchOptions,
): Promise<Timing[]> {
  const largest = Math.max(...Object.values(PLANE_SIZES));
  const [sent, came] = [new Float32Array(largest), new Float32Array(largest)];
  sent.forEach((_, i) => sent[i] = i);
  const timings: Timing[] = [];
  let sequence = 0;
  let lastRun = -1;
  for (const { run, plane, size } of planeSchedule([...trips.keys()], runs)) {
    throwIfAborted(signal);
    if (run !== lastRun) onRun?.(run - WARM_RUNS);
    lastRun = run;
    const elements = PLANE_SIZES[size];
    const [source, target] = [sent.subarray(0, elements), came.subarray(0, elements)];
    source[0] = sequence;
    target.fill(0);
    const trip = trips.get(plane)!;
    const start = performance.now();
    await trip.send(sequence, source);
    await trip.receive(sequence, target);
    const elapsedMs = performance.now() - start;
    if (run >= WARM_RUNS) timings.push({ plane, size, elapsedMs });
    if (!bytesOf(source).equals(bytesOf(target))) {
      throw new TuttiError("INTERNAL", `The ${plane} plane brought back other numbers`);
    }
    sequence++;
  }
  return timings;
}

function rowsOf(timings: readonly Timing[]): PlaneBenchRow[] {
  return Object.values(Object.groupBy(timings, ({ plane, size }) => `${plane} ${size}`)).map(
    (group) => {
      const { plane, size } = group![0]!;
      const sorted = group!.map(({ elapsedMs }) => elapsedMs).sort((a, b) => a - b);
      const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!;
      return {
        ...{ plane, size, bytes: 4 * PLANE_SIZES[size] },
        ...{ medianMs: at(0.5), bestMs: at(0), p10Ms: at(0.1), p90Ms: at(0.9) },
      };
    },
  );
}

interface Echo extends AsyncDisposable {
  /** Rejects if the process ends in an error. */
  readonly failed: Promise<never>;
}

async function startEcho(listener: PlaneListener, told: EchoTold): Promise<Echo> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", ECHO_PROGRAM],
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const ended = child.output();
  const failed = ended.then(({ success, stderr }) => {
    if (success) return new Promise<never>(() => {});
    const reason = new TextDecoder().decode(stderr).trim();
    throw new TuttiError("INTERNAL", `The echoing process failed: ${reason}`);
  });
  failed.catch(() => {}); // Looked at where something is waited for.
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(orderOf(listener, told))));
  await writer.close();
  return {
    failed,
    [Symbol.asyncDispose]: async () => {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await ended;
    },
  };
}

interface EchoTold {
  readonly runs: number;
  readonly planes: readonly BenchPlane[];
  readonly memory: SharedMemory | undefined;
  readonly tokens: Readonly<Record<BenchPlane, Uint8Array>>;
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
