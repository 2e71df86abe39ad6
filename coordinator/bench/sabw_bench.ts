/**
 * What SABW costs on this machine: a SABW in this process aggregates random features block by block, as in the steps of
 * an image, with ONNX Runtime's profile on. The share of self-attention is what grows with the image: quadratic in pixels.
 *
 * @module
 */

import { join } from "node:path";
import { FormatError, throwIfAborted, TuttiError } from "../../shared/errors.ts";
import { type BlockId, type BlockSpec, sizeAtScale } from "../../shared/models/blocks.ts";
import { FLOP_KINDS, graphFlops } from "../../shared/onnx/flops.ts";
import type { Graph } from "../../shared/onnx/graph.ts";
import { TorchCpuGenerator } from "../../shared/tensor/torch_randn.ts";
import { SabwAggregator } from "../sampling/methods/sabw/sabw_aggregator.ts";
import type { SabwExperts } from "../sampling/methods/sabw/sabw_folder.ts";
import { parseProfile, type RunProfile } from "./ort_profile.ts";
import { type CallSize, latentSize } from "./random_inputs.ts";

export interface SabwBenchOptions extends CallSize {
  /** In the layout of the paper's code; trained, or with random weights: an untrained one runs no network. */
  readonly folder: string;
  readonly experts: SabwExperts;
  readonly threads: number;
  /** Steps to time, after a first one that loads the weights and projects the text. */
  readonly steps: number;
  /** Of the text. @default 77 */
  readonly tokens?: number;
  readonly signal?: AbortSignal;
  /** Told before each step; the first is 0. */
  readonly onStep?: (step: number) => void;
}

export interface AggregatorReport {
  readonly block: BlockId;
  /** Median; with our own code around the network. */
  readonly ms: number;
  /** Of `ms`, in the attention of pixels to pixels. */
  readonly selfAttentionMs: number;
  readonly flops: number;
}

export interface SabwReport {
  readonly aggregators: readonly AggregatorReport[];
  /** All aggregators of one step, the sum of their medians. */
  readonly stepMs: number;
  readonly selfAttentionShare: number;
  readonly flops: number;
  /** FLOP per second of the whole step. */
  readonly stepRate: number;
}

/** What one aggregator is measured with. */
interface Case {
  readonly block: BlockSpec;
  readonly graph: Graph;
  readonly height: number;
  readonly width: number;
  readonly elapsedMs: number[];
}

const TOKENS = 77;

/** @throws {FormatError} if the SABW is damaged, was made for other experts or is untrained */
export async function benchSabw(options: SabwBenchOptions): Promise<SabwReport> {
  const { folder, experts, threads, steps, batch } = options;
  const profileFolder = await Deno.makeTempDir({ prefix: "tutti-profile-" });
  try {
    const aggregator = await SabwAggregator.open(folder, experts, {
      ...{ device: "cpu", threads, profileFolder },
    });
    try {
      const cases = experts.blocks.map((block) => caseOf(aggregator, block, options));
      await runSteps(aggregator, cases, options);
      await aggregator.releaseGraphs();
      const tokens = options.tokens ?? TOKENS;
      const rows = await Promise.all(cases.map(async (one) => {
        const profiles = await readProfile(profileFolder, one.graph.name, steps + 1);
        return aggregatorReport(one, profiles.slice(1), { batch, tokens });
      }));
      return sabwReport(rows);
    } finally {
      await aggregator.close();
    }
  } finally {
    await Deno.remove(profileFolder, { recursive: true });
  }
}

function caseOf(aggregator: SabwAggregator, block: BlockSpec, options: SabwBenchOptions): Case {
  const graph = aggregator.graphOf(block.id);
  if (!graph) {
    throw new FormatError(
      `SABW "${options.folder}" must be trained: ${block.id} gives every expert the same weight and runs no network`,
    );
  }
  const { height, width } = latentSize(options);
  return {
    ...{ block, graph, elapsedMs: [] },
    height: sizeAtScale(height, block.outScale),
    width: sizeAtScale(width, block.outScale),
  };
}

async function runSteps(
  aggregator: SabwAggregator,
  cases: readonly Case[],
  { experts, batch, steps, tokens = TOKENS, signal, onStep }: SabwBenchOptions,
): Promise<void> {
  const noise = new TorchCpuGenerator(0);
  const conditioning = {
    temb: noise.randn([batch, experts.timeEmbedDim]),
    encoderHiddenStates: noise.randn([batch, tokens, experts.crossAttentionDim]),
  };
  const features = new Map(cases.map(({ block, height, width }) => {
    const shape = [batch, block.outChannels, height, width];
    return [shape.join(), Array.from({ length: experts.numExperts }, () => noise.randn(shape))];
  }));
  for (let step = 0; step <= steps; step++) {
    onStep?.(step);
    for (const { block, height, width, elapsedMs } of cases) {
      throwIfAborted(signal);
      const inputs = features.get([batch, block.outChannels, height, width].join())!;
      const start = performance.now();
      await aggregator.aggregate(block.id, inputs, conditioning);
      if (step > 0) elapsedMs.push(performance.now() - start);
    }
  }
}

function aggregatorReport(
  { block, graph, height, width, elapsedMs }: Case,
  profiles: readonly RunProfile[],
  { batch, tokens }: { readonly batch: number; readonly tokens: number },
): AggregatorReport {
  const sizes = new Map([["B", batch], ["H", height], ["W", width], ["L", tokens]]);
  const counts = graphFlops(graph, sizes);
  // One operator does both attentions; their work is as their numbers of keys.
  const ownKeys = height * width / (height * width + tokens);
  const attentionMs = profiles.map((profile) => profile.get("MultiHeadAttention")?.ms ?? 0);
  return {
    block: block.id,
    ms: median(elapsedMs),
    selfAttentionMs: median(attentionMs) * ownKeys,
    flops: FLOP_KINDS.reduce((sum, kind) => sum + counts[kind], 0),
  };
}

function sabwReport(aggregators: readonly AggregatorReport[]): SabwReport {
  const total = (key: "ms" | "selfAttentionMs" | "flops") =>
    aggregators.reduce((sum, row) => sum + row[key], 0);
  const [stepMs, flops] = [total("ms"), total("flops")];
  return {
    ...{ aggregators, stepMs, flops },
    selfAttentionShare: total("selfAttentionMs") / stepMs,
    stepRate: flops / (stepMs / 1000),
  };
}

async function readProfile(folder: string, graph: string, runs: number): Promise<RunProfile[]> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  const path = join(folder, names.find((name) => name.startsWith(`${graph}_`)) ?? graph);
  const profiles = parseProfile(await Deno.readTextFile(path), path);
  if (profiles.length === runs) return profiles;
  throw new TuttiError(
    "INTERNAL",
    `Profile of ${graph} must have ${runs} runs: it has ${profiles.length}`,
  );
}

/** Of an even number the lower of the two in the middle, so that it is a time that was really measured. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)]!;
}
