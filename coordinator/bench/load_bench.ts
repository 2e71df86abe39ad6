/**
 * What a model costs a worker: time until it serves, time of the first U-Net call, which loads the weights, and the memory
 * that the worker's process then holds, next to the file's size and the weights' size in the dtype that computes. The first
 * call is held against what it cannot do without: reading the U-Net once, converting it, and one step.
 *
 * @module
 */

import { openCheckpoint } from "../../shared/checkpoint/checkpoint.ts";
import { fileHash, weightPaths } from "../../shared/checkpoint/model_hash.ts";
import type { Expert } from "../../shared/engine/expert.ts";
import type { WeightTable } from "../../shared/models/weights.ts";
import { DTYPES } from "../../shared/tensor/dtype.ts";
import { elementCount } from "../../shared/tensor/tensor.ts";
import { connectExpert } from "../cluster/remote_expert.ts";
import { spawnWorker } from "../cluster/spawn_worker.ts";
import { timeWeightPasses, type WeightPasses } from "./weight_passes.ts";
import { type CallSize, emptyPrompt, randomInputs } from "./random_inputs.ts";
import {
  heldBytes,
  type ResidentMemory,
  residentMemory,
  roughResidentBytes,
} from "./resident_memory.ts";

export interface LoadBenchOptions extends CallSize {
  /** Diffusers folder or single file. */
  readonly model: string;
  readonly configFrom?: string;
  readonly threads: number;
  readonly signal?: AbortSignal;
  /** Told what happens now. */
  readonly onPhase?: (phase: string) => void;
}

export interface LoadReport {
  readonly parts: readonly PartSize[];
  /** Of the files that hold the parts. */
  readonly fileBytes: number;
  /** Hashing the files; next to nothing where the hashes are remembered. */
  readonly hashMs: number;
  /** From the start of the process until it serves, with the hashes known. */
  readonly readyMs: number;
  /** All text encoders, one call each; undefined without any. */
  readonly firstTextMs: number | undefined;
  readonly firstStepMs: number;
  readonly nextStepMs: number;
  /** Of another worker, started after the first one has ended. */
  readonly secondStartStepMs: number;
  /** Of the U-Net, on one core. */
  readonly passes: WeightPasses;
  readonly readyMemory: ResidentMemory;
  /** After the steps. */
  readonly memory: ResidentMemory;
  /** The most that was held at any time. */
  readonly peakBytes: number;
}

export interface PartSize {
  readonly part: string;
  readonly parameters: number;
  /** In the file. */
  readonly storedBytes: number;
  /** In the dtype that computes. */
  readonly computeBytes: number;
}

/** What a CPU computes with. */
const COMPUTE_DTYPE = "float32";
const SAMPLE_INTERVAL_MS = 50;

/** @throws {FormatError} if the model cannot be opened */
export async function benchLoad(options: LoadBenchOptions): Promise<LoadReport> {
  const { model, configFrom, signal, onPhase } = options;
  const fromConfig = configFrom === undefined ? {} : { configFrom };
  const { unet, text, text2 } = await openCheckpoint(model, fromConfig);
  const tables = { "U-Net": unet, "text encoder": text, "text encoder 2": text2 };
  const parts = Object.entries(tables).flatMap(([part, content]) =>
    content ? [partSize(part, content.weights)] : []
  );
  const paths = weightPaths(...[unet, text, text2].flatMap((part) => part ? [part.weights] : []));
  const fileBytes = await totalSize(paths);

  onPhase?.("hashing");
  const hashStart = performance.now();
  for (const path of paths) await fileHash(path);
  const hashMs = performance.now() - hashStart;

  onPhase?.("reading and converting");
  const passes = await timeWeightPasses([unet.weights], signal);
  const first = await benchWorker(options, ["first step", "next step"]);
  const second = await benchWorker(options, ["first step of a second start"]);
  const [firstStepMs, nextStepMs] = first.stepMs as [number, number];
  return {
    ...{ parts, fileBytes, hashMs, passes },
    ...first,
    ...{ firstStepMs, nextStepMs, secondStartStepMs: second.stepMs[0]! },
  };
}

/** @param steps one call each */
async function benchWorker(options: LoadBenchOptions, steps: readonly string[]) {
  const { model, configFrom, threads, signal, onPhase } = options;
  onPhase?.("starting the worker");
  const readyStart = performance.now();
  await using worker = await spawnWorker({
    ...{ model, name: "bench", threads },
    ...(configFrom !== undefined && { configFrom }),
    ...(signal && { signal }),
  });
  const readyMs = performance.now() - readyStart;
  const readyMemory = await residentMemory(worker.pid);
  await using peak = watchPeak(worker.pid);
  const expert = await connectExpert(worker.address, signal ? { signal } : {});
  try {
    onPhase?.("encoding text");
    const firstTextMs = await timeTexts(expert, options);
    const stepMs = await timeSteps(expert, options, steps);
    const memory = await residentMemory(worker.pid);
    const peakBytes = Math.max(peak.bytes, heldBytes(memory));
    return { readyMs, firstTextMs, stepMs, readyMemory, memory, peakBytes };
  } finally {
    await expert.close();
  }
}

async function timeTexts(
  expert: Expert,
  { batch, signal }: LoadBenchOptions,
): Promise<number | undefined> {
  const { texts } = expert.description;
  if (texts.length === 0) return undefined;
  const start = performance.now();
  for (const [index, text] of texts.entries()) {
    await expert.encodeText(emptyPrompt(text, batch), { encoder: index as 0 | 1 }, signal);
  }
  return performance.now() - start;
}

async function timeSteps(
  expert: Expert,
  { signal, onPhase, ...size }: LoadBenchOptions,
  steps: readonly string[],
): Promise<number[]> {
  const { blocks } = expert.description;
  const { session: config, latents } = randomInputs(expert.description, size);
  const session = await expert.openSession(config, signal);
  const range = { stepIndex: 0, first: blocks[0]!.id, last: blocks.at(-1)!.id };
  const time = async (phase: string) => {
    onPhase?.(phase);
    const start = performance.now();
    await session.forward({ ...range, hiddenStates: latents }, signal);
    return performance.now() - start;
  };
  const elapsedMs: number[] = [];
  for (const step of steps) elapsedMs.push(await time(step));
  await session.close();
  return elapsedMs;
}

/** Looks at a process again and again; the answer is the most that it held. */
function watchPeak(pid: number): AsyncDisposable & { readonly bytes: number } {
  let bytes = 0;
  let looking = Promise.resolve();
  const timer = setInterval(() => {
    // A process that has just ended holds nothing.
    looking = roughResidentBytes(pid).then((now) => void (bytes = Math.max(bytes, now)), () => {});
  }, SAMPLE_INTERVAL_MS);
  return {
    get bytes() {
      return bytes;
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await looking;
    },
  };
}

function partSize(part: string, weights: WeightTable): PartSize {
  const locations = [...weights.values()];
  const parameters = locations.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return {
    part,
    parameters,
    storedBytes: locations.reduce((sum, { length }) => sum + length, 0),
    computeBytes: parameters * DTYPES[COMPUTE_DTYPE].bytes,
  };
}

async function totalSize(paths: readonly string[]): Promise<number> {
  const sizes = await Promise.all(paths.map(async (path) => (await Deno.stat(path)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
