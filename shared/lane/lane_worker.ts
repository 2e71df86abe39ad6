/// <reference lib="webworker" />
/**
 * A lane: the thread that owns ONNX Runtime sessions. `run()` holds its thread for the whole inference,
 * so it never runs on the thread that answers RPC and health checks. Started by `lane.ts`.
 *
 * @module
 */

import * as ort from "onnxruntime-node";
import { deviceIndexOf, providerOf } from "../device/device_name.ts";
import type { MergedFile } from "../merging/merged_file.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { byteLength, elementCount } from "../tensor/tensor.ts";
import { trimHeap, trimLargeHeap } from "./shared_heap.ts";
import type { ComputedWeights, Device, LaneReply, LaneRequest, TensorRef } from "./protocol.ts";

declare const self: DedicatedWorkerGlobalScope;

// What fails is thrown; the same lines on stderr would break the progress bar.
ort.env.logLevel = "fatal";
const LOG_FATAL = 4;

/** By lane and graph. */
const sessions = new Map<number, Map<string, LoadedGraph>>();

interface LoadedGraph {
  readonly session: ort.InferenceSession;
  hasRun: boolean;
}

/** Whether loading may have left free memory in the heap. */
let hasLoaded = false;

/** Lanes that are being closed: what still waits for them is not worth the time. */
const closing = new Set<number>();

/** Open until another one is asked for: the next graph is mostly of the same merge. */
let lastMerge: { readonly hash: string; readonly file: MergedFile } | undefined;

/** The request before: one at a time, so that none counts the time of another as its own. */
let last = Promise.resolve();

self.onmessage = (event: MessageEvent<LaneRequest>) => {
  if (event.data.kind === "close") closing.add(event.data.lane);
  last = last.then(() => answer(event.data));
};

async function answer(request: LaneRequest): Promise<void> {
  const start = performance.now();
  let reply: LaneReply;
  try {
    await handle(request);
    reply = { id: request.id, ok: true, elapsedMs: performance.now() - start };
  } catch (error) {
    reply = {
      id: request.id,
      ok: false,
      message: error instanceof Error ? error.message : String(error),
    };
  }
  self.postMessage(reply);
}

async function handle(request: LaneRequest): Promise<void> {
  if (closing.has(request.lane) && request.kind !== "close") throw new Error("The lane is closed");
  const graphs = sessions.get(request.lane) ?? new Map<string, LoadedGraph>();
  switch (request.kind) {
    case "load": {
      // Before anything is awaited: another load of this lane may begin meanwhile.
      sessions.set(request.lane, graphs);
      graphs.set(request.graph, { session: await createSession(request), hasRun: false });
      trimLargeHeap();
      hasLoaded = true;
      return;
    }
    case "run": {
      const graph = graphs.get(request.graph);
      if (!graph) throw new Error(`Graph "${request.graph}" is not loaded in this lane`);
      const { session } = graph;
      // ONNX Runtime passes over names that the graph has not: an output of that name would stay zero.
      checkNames("input", request.feeds, session.inputNames);
      checkNames("output", request.fetches, session.outputNames);
      if (graph.hasRun && hasLoaded) {
        // The second step begins: all weights are there.
        hasLoaded = false;
        trimHeap();
      }
      graph.hasRun = true;
      // With pre-allocated fetches the results land in the caller's memory.
      await session.run(mapRefs(request.feeds), mapRefs(request.fetches));
      return;
    }
    case "release": {
      await graphs.get(request.graph)?.session.release();
      graphs.delete(request.graph);
      trimHeap();
      return;
    }
    case "close": {
      for (const { session } of graphs.values()) await session.release();
      sessions.delete(request.lane);
      lastMerge?.file[Symbol.dispose]();
      lastMerge = undefined;
      closing.delete(request.lane);
      trimHeap();
      return;
    }
  }
}

/** What may compute, the first that can an operation does it. Shapes and the like stay on the processor anyway. */
function providersFor(device: Device): ort.InferenceSession.ExecutionProviderConfig[] {
  const [name, deviceId] = [providerOf(device), deviceIndexOf(device)];
  if (name === "cpu") return [name];
  return [deviceId === undefined ? name : { name, deviceId }, "cpu"];
}

async function createSession(
  { graph, model, weightsFolder, computed, options }: Extract<LaneRequest, { kind: "load" }>,
): Promise<ort.InferenceSession> {
  return await ort.InferenceSession.create(model, {
    ...(computed && { externalData: await computeWeights(computed) }),
    executionProviders: providersFor(options.device),
    intraOpNumThreads: options.threads,
    // Each block's session would otherwise keep its largest activations for itself.
    enableCpuMemArena: false,
    logSeverityLevel: LOG_FATAL,
    ...(options.profileFolder !== undefined && {
      enableProfiling: true,
      profileFilePrefix: `${options.profileFolder}/${graph}`,
    }),
    extra: {
      session: {
        ...(weightsFolder !== undefined &&
          { model_external_initializers_file_folder_path: weightsFolder }),
        // Waiting threads that spin take the cores from the other workers of this machine.
        intra_op: { allow_spinning: "0" },
      },
    },
  });
}

/** Made here, where nobody waits for answers; few lanes need it. */
async function computeWeights(
  { merge, parts }: ComputedWeights,
): Promise<{ readonly path: string; readonly data: Uint8Array }[]> {
  if (lastMerge?.hash !== merge.hash) {
    const { MergedFile } = await import("../merging/merged_file.ts");
    const file = await MergedFile.open(merge);
    lastMerge?.file[Symbol.dispose]();
    lastMerge = { hash: merge.hash, file };
  }
  const { file } = lastMerge!;
  return parts.map((part) => ({ path: part.location, data: file.read(part) }));
}

function checkNames(
  kind: string,
  refs: Readonly<Record<string, TensorRef>>,
  known: readonly string[],
): void {
  const odd = Object.keys(refs).find((name) => !known.includes(name));
  if (odd === undefined) return;
  throw new Error(`The graph has no ${kind} "${odd}": it has ${known.join(", ")}`);
}

function mapRefs(refs: Readonly<Record<string, TensorRef>>): Record<string, ort.Tensor> {
  return Object.fromEntries(Object.entries(refs).map(([name, ref]) => [name, toOrtTensor(ref)]));
}

/** A runtime tensor over the memory that the reference names; no copy. */
function toOrtTensor({ dtype, shape, address }: TensorRef): ort.Tensor {
  const count = elementCount(shape);
  const pointer = Deno.UnsafePointer.create(address);
  const buffer = count === 0 || pointer === null
    ? new ArrayBuffer(0)
    : Deno.UnsafePointerView.getArrayBuffer(pointer, byteLength(dtype, shape));
  const data = new DTYPES[dtype].array(buffer, 0, count);
  return new ort.Tensor(dtype as "float32", data as Float32Array, shape);
}
