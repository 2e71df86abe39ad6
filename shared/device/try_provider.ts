/**
 * A program: `try_provider.ts cpu|webgpu|cuda` computes small graphs on an execution provider and prints a
 * `ProviderReport` as its last line. Started by `provider_report.ts`.
 *
 * @module
 */

import * as ort from "onnxruntime-node";
import { Lane } from "../lane/lane.ts";
import type { Device } from "../lane/protocol.ts";
import { encodeModel } from "../onnx/encode.ts";
import type { Graph } from "../onnx/graph.ts";
import { difference } from "../tensor/compare.ts";
import type { F32Tensor } from "../tensor/tensor.ts";
import { printLine } from "../terminal/stdout.ts";
import type { Adapter, ProviderNumerics, ProviderReport } from "./provider_report.ts";
import { attentionTrial, productTrial, type Trial } from "./trials.ts";

/** Small models, SD1.5, SDXL, and the VAE's single head. Ascending: what is wrong once is not tried wider. */
const HEAD_DIMS = [8, 16, 32, 40, 64, 80, 128, 160, 256, 512];

/** Relative L2 distance from the exact result. */
const TOLERANCE = { float32: 1e-3, float16: 1e-2 } as const;

type Float = keyof typeof TOLERANCE;

async function tryDevice(device: Device): Promise<ProviderReport> {
  const adapter = device === "webgpu" ? await findAdapter() : undefined;
  const runtime = ort.env.versions.node ?? ort.env.versions.common;
  const known = { device, runtime, ...(adapter && { adapter }) };
  await using lane = new Lane({ device, threads: 1 });
  try {
    if (!await isRight(lane, productTrial("float32"), TOLERANCE.float32)) {
      return { ...known, failure: "It computes wrong numbers", f32: { maxFusedHeadDim: 0 } };
    }
  } catch (error) {
    return { ...known, failure: (error as Error).message, f32: { maxFusedHeadDim: 0 } };
  }
  const f32 = await tryAttention(lane, "float32");
  // The processor has no kernels for 16-bit floats: it would widen every operand and be slower.
  const hasHalf = device !== "cpu" &&
    await isRight(lane, productTrial("float16"), TOLERANCE.float16).catch(() => false);
  return { ...known, f32, ...(hasHalf && { f16: await tryAttention(lane, "float16") }) };
}

async function tryAttention(lane: Lane, float: Float): Promise<ProviderNumerics> {
  let maxFusedHeadDim = 0;
  for (const headDim of HEAD_DIMS) {
    const trial = attentionTrial(float, headDim);
    if (!await isRight(lane, trial, TOLERANCE[float]).catch(() => false)) break;
    maxFusedHeadDim = headDim;
  }
  return { maxFusedHeadDim };
}

async function isRight(
  lane: Lane,
  { graph, inputs, expected }: Trial,
  tolerance: number,
): Promise<boolean> {
  await lane.loadGraph(graph.name, encodeModel(graph));
  const { outputs } = await lane.run(graph.name, inputs, outputTypes(graph, expected));
  const { relativeL2 } = difference((outputs.y as F32Tensor).data, expected.data);
  return relativeL2 <= tolerance;
}

function outputTypes({ outputs }: Graph, { dtype, shape }: F32Tensor) {
  return Object.fromEntries(outputs.map(({ name }) => [name, { dtype, shape }]));
}

/** The adapter that Deno would take; ONNX Runtime asks the same drivers and tells no name. */
async function findAdapter(): Promise<Adapter | undefined> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return undefined;
  const { description, device, isFallbackAdapter } = adapter.info;
  return { name: description || device || "unnamed adapter", isSoftware: isFallbackAdapter };
}

printLine(JSON.stringify(await tryDevice(Deno.args[0] as Device)));
