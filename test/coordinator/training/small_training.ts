/**
 * Training of a small SABW through the two golden experts, on examples whose latents are noise.
 *
 * @module
 */

import {
  type AggregatedBlocks,
  aggregationPlan,
} from "../../../coordinator/sampling/aggregation_plan.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../coordinator/sampling/samplers/scheduler_config.ts";
import { alphasCumprod } from "../../../coordinator/sampling/samplers/noise_schedule.ts";
import { ADAMW_DEFAULTS } from "../../../coordinator/training/adamw.ts";
import type { Example } from "../../../coordinator/training/dataset/examples.ts";
import { TensorCache } from "../../../coordinator/training/dataset/tensor_cache.ts";
import { TextCache } from "../../../coordinator/training/dataset/text_cache.ts";
import { initialSabw } from "../../../coordinator/training/initial_sabw.ts";
import { NoisyRows, type NoisyRowsOptions } from "../../../coordinator/training/noisy_rows.ts";
import type { TrainRequest } from "../../../coordinator/training/train.ts";
import { TrainableSabw } from "../../../coordinator/training/trainable_sabw.ts";
import type { Expert } from "../../../shared/engine/expert.ts";
import type { LocalExpert } from "../../../shared/engine/local_expert.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";

export const CPU = { device: "cpu", threads: 1 } as const;
const SIZE = { hiddenSize: 8, numLayers: 1, numHeads: 2 };
const LATENT_SHAPE = [4, 8, 8];

export interface SmallTraining extends AsyncDisposable {
  readonly experts: readonly LocalExpert[];
  readonly shared: Parameters<typeof initialSabw>[0];
  readonly temp: TempFolder;
  readonly rows: NoisyRows;
  readonly rowsOptions: NoisyRowsOptions;
  texts(experts: readonly Expert[]): TextCache;
  readonly examples: readonly Example[];
  /** A new SABW, or that of a folder; closed with the rest. */
  openSabw(folder?: string): Promise<TrainableSabw>;
  request(sabw: TrainableSabw, changes?: Partial<TrainRequest>): TrainRequest;
}

export async function openSmallTraining(
  aggregated: AggregatedBlocks = "all",
): Promise<SmallTraining> {
  const temp = await tempFolder();
  const experts = await Promise.all([openGoldenExpert("a"), openGoldenExpert("b")]);
  const { description } = experts[0]!;
  const shared = { ...description, numExperts: experts.length };
  const { maxLength, bosTokenId, eosTokenId, padTokenId } = description.texts[0]!;
  const ids = (tokens: readonly number[]) => {
    const padding = new Array<number>(maxLength - 2 - tokens.length).fill(padTokenId);
    return [bosTokenId, ...tokens, eosTokenId, ...padding];
  };
  const examples = [1, 2, 3, 4, 5].map((seed): Example => ({
    imagePath: `${seed}.png`,
    text: String(seed),
    inputIds: ids([seed, seed + 1]),
    latents: () =>
      Promise.resolve({
        mean: randomTensor([1, ...LATENT_SHAPE], seed),
        logvar: f32([1, ...LATENT_SHAPE]),
      }),
  }));
  const texts = (chosen: readonly Expert[]) =>
    new TextCache(chosen, { cache: new TensorCache(temp.join("cache")) });
  const rowsOptions: NoisyRowsOptions = {
    texts: texts(experts),
    emptyIds: ids([]),
    alphasCumprod: alphasCumprod(DEFAULT_SCHEDULER_CONFIG),
    predictionType: "epsilon",
    scalingFactor: 0.5,
    samplesLatents: true,
    latentShape: LATENT_SHAPE,
    size: 64,
  };
  const rows = new NoisyRows(rowsOptions);
  const opened: TrainableSabw[] = [];
  return {
    ...{ experts, shared, temp, rows, rowsOptions, texts, examples },
    openSabw: async (folder) => {
      const sabw = folder === undefined
        ? new TrainableSabw("small", initialSabw(shared, SIZE, 1n), CPU)
        : await TrainableSabw.open(folder, shared, CPU);
      opened.push(sabw);
      return sabw;
    },
    request: (sabw, changes = {}) => ({
      ensemble: {
        experts,
        aggregator: sabw,
        plan: aggregationPlan(description.blocks, aggregated),
      },
      parameters: sabw.parameters,
      ...{ rows, examples },
      ...{ steps: 3, batch: 3, microBatch: 2, dropText: 0.1, seed: 7n },
      adamw: { ...ADAMW_DEFAULTS, learningRate: 1e-2 },
      ...changes,
    }),
    [Symbol.asyncDispose]: async () => {
      for (const sabw of opened) await sabw.close();
      await Promise.all(experts.map((expert) => expert.close()));
      await temp[Symbol.asyncDispose]();
    },
  };
}
