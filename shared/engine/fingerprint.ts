/**
 * The numerics fingerprint: everything besides the weights that decides the bits of a result. Two experts
 * with equal weights and equal fingerprints can replace each other in the middle of an image.
 *
 * @module
 */

import { createHash } from "node:crypto";
import * as ort from "onnxruntime-node";
import type { Backend } from "../device/backend.ts";
import { providerOf } from "../device/device_name.ts";
import { instructionSets } from "../device/instruction_sets.ts";
import type { Graph } from "../onnx/graph.ts";
import { printGraph } from "../onnx/print.ts";
import type { NumericsFingerprint } from "./expert.ts";
import { type ComputeOptions, lowerGraph } from "./lower_graph.ts";

export async function numericsFingerprint(
  graphs: readonly Graph[],
  options: ComputeOptions & Partial<Pick<Backend, "adapter">>,
): Promise<NumericsFingerprint> {
  const { device, adapter = "", lowering, threads } = options;
  const hash = createHash("sha256");
  for (const graph of graphs) hash.update(printGraph(lowerGraph(graph, options)));
  return {
    runtime: `onnxruntime ${ort.env.versions.node ?? ort.env.versions.common}`,
    // Which of several equal GPUs it is changes nothing.
    device: providerOf(device),
    precision: lowering?.precision ?? "f32",
    // What the device cannot do the processor does, so both decide.
    isa: [await instructionSets(), adapter].filter((part) => part !== "").join("; "),
    threads,
    graphHash: hash.digest("hex"),
  };
}
