/** The flags of `tutti train`. @module */

import { type Command, Option } from "commander";
import { type Ablation, ABLATIONS } from "../../shared/models/config/sabw_config.ts";
import { shortenHelp } from "../../shared/terminal/grouped_help.ts";
import { headingOf } from "../../shared/terminal/help_groups.ts";
import { collectExpertLora } from "../ensemble/lora_flags.ts";
import type { AggregatedBlocks } from "../sampling/aggregation_plan.ts";
import type { SabwDType } from "../sampling/methods/sabw/write_sabw_folder.ts";
import { ADAMW_DEFAULTS } from "../training/adamw.ts";
import { PAPER_SABW_SIZE } from "../training/initial_sabw.ts";
import {
  addComputeOptions,
  addExpertOptions,
  addPartOptions,
  type DataEnsembleFlags,
} from "./data_ensemble.ts";
import { cacheOption, latentsOption, seedOption, trainingSizeOption } from "./data_options.ts";
import { blockChoice, listOf, notNegative, oneOf, positive, share, wholeNumber } from "./flags.ts";
import { gradientDtypeOption } from "./transport_flags.ts";

const SABW_DTYPES = { f32: "float32", f16: "float16" } as const satisfies Record<string, SabwDType>;

/** Those of the short help. */
const COMMON_FLAGS = ["--data", "--out", "--steps", "--batch", "--micro-batch", "--lr", "--seed"]
  .concat(["--size", "--resume", "--ensemble", "--workers", "--local", "--patience", "--device"]);

export interface TrainFlags extends DataEnsembleFlags {
  readonly out: string;
  readonly steps: number;
  readonly batch: number;
  readonly microBatch?: number;
  readonly lr: number;
  readonly cooldown: number;
  readonly weightDecay: number;
  readonly dropText: number;
  readonly aggregate: AggregatedBlocks;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly temperature: number;
  readonly without?: readonly Ablation[];
  readonly balance: number;
  readonly certainty: number;
  readonly holdOut?: number;
  readonly drawsPerImage: number;
  readonly evaluateEvery: number;
  readonly patience?: number;
  readonly checkpointEvery: number;
  readonly keep: number;
  readonly sabwDtype: SabwDType;
  readonly resume: boolean;
  readonly stats: boolean;
  readonly json: boolean;
}

export function addTrainOptions(command: Command): Command {
  addExpertOptions(command)
    .optionsGroup(headingOf("Basics"))
    .requiredOption("--data <path>", "folder, or file of JSON lines")
    .requiredOption("--out <folder>", "where the run is written")
    .option("--steps <n>", "updates in all", wholeNumber("--steps"), 2000)
    .option("--batch <n>", "images of an update", wholeNumber("--batch"), 8)
    .optionsGroup(headingOf("Training"))
    .option(
      "--micro-batch <n>",
      "images that go through the experts together; fewer need less memory, and --balance balances " +
        "over so many (default: --batch)",
      wholeNumber("--micro-batch"),
    )
    .option("--lr <rate>", "learning rate", positive("--lr"), ADAMW_DEFAULTS.learningRate)
    .option(
      "--cooldown <n>",
      "updates at the end over which the learning rate falls to 0; none in the paper",
      wholeNumber("--cooldown", 0),
      0,
    )
    .option(
      "--weight-decay <rate>",
      "weight decay",
      share("--weight-decay"),
      ADAMW_DEFAULTS.weightDecay,
    )
    .option(
      "--drop-text <p>",
      "probability that an image's text is dropped",
      share("--drop-text"),
      0.1,
    )
    .optionsGroup(headingOf("Basics"))
    .addOption(seedOption())
    .addOption(trainingSizeOption())
    .optionsGroup(headingOf("Training"))
    .addOption(latentsOption())
    .optionsGroup(headingOf("Aggregators"))
    .option(
      "--aggregate <blocks>",
      "blocks after which the experts' features become one: all, noise (the last one only), or ids as IN04,M00",
      blockChoice("--aggregate"),
      "all",
    )
    .option(
      "--hidden-size <n>",
      "width of the aggregators",
      wholeNumber("--hidden-size"),
      PAPER_SABW_SIZE.hiddenSize,
    )
    .option(
      "--layers <n>",
      "transformer blocks of an aggregator",
      wholeNumber("--layers"),
      PAPER_SABW_SIZE.numLayers,
    )
    .option(
      "--heads <n>",
      "attention heads of an aggregator; must divide --hidden-size",
      wholeNumber("--heads"),
      PAPER_SABW_SIZE.numHeads,
    )
    .option(
      "--temperature <t>",
      "what the experts' scores are divided by before softmax, in training and after: above 1 weights are nearer to equal",
      positive("--temperature"),
      1,
    )
    .option(
      "--without <what>",
      `make the aggregators blind to some of ${ABLATIONS.join(",")}, to tell what it is worth`,
      listOf("--without", ABLATIONS),
    )
    .addOption(
      new Option(
        "--sabw-dtype <dtype>",
        "what the weights in sabw/ are stored as: f32, or f16 for half the size; checkpoints keep all bits",
      )
        .argParser((text) => SABW_DTYPES[oneOf("--sabw-dtype", ["f32", "f16"])(text)])
        .default(SABW_DTYPES.f32, "f32"),
    )
    .optionsGroup(headingOf("Training"))
    .option(
      "--balance <weight>",
      "weight of a penalty on experts that are used less than others; 0 is none",
      notNegative("--balance"),
      0,
    )
    .option(
      "--certainty <weight>",
      "weight of a penalty on pixels that take one expert alone; 0 is none",
      notNegative("--certainty"),
      0,
    )
    .optionsGroup(headingOf("Measuring"))
    .option(
      "--hold-out <n>",
      "images that are not trained on, to measure the loss with (default: a tenth, at most 64)",
      wholeNumber("--hold-out", 0),
    )
    .option(
      "--draws-per-image <n>",
      "draws of timestep and noise for each of those",
      wholeNumber("--draws-per-image"),
      4,
    )
    .option(
      "--evaluate-every <n>",
      "steps between two measurements of the held-out loss",
      wholeNumber("--evaluate-every"),
      100,
    )
    .option(
      "--patience <n>",
      "measurements without a new least loss after which the run ends (default: it does not)",
      wholeNumber("--patience"),
    )
    .optionsGroup(headingOf("Files"))
    .option(
      "--checkpoint-every <n>",
      "steps between two checkpoints",
      wholeNumber("--checkpoint-every"),
      100,
    )
    .option("--keep <n>", "checkpoints that are kept", wholeNumber("--keep"), 2)
    .optionsGroup(headingOf("Basics"))
    .option("--resume", "go on from the newest checkpoint, to the same numbers", false)
    .optionsGroup(headingOf("Files"))
    .addOption(cacheOption());
  addPartOptions(command)
    .optionsGroup(headingOf("Experts"))
    .option(
      "--lora <expert=file:weight>",
      "merge a LoRA into an expert that this command opens; several times for several",
      collectExpertLora,
    );
  addComputeOptions(command, "VAE and SABW")
    .addOption(gradientDtypeOption())
    .optionsGroup(headingOf("Reports"))
    .option("--stats", "print where the time went", false)
    .option("--json", "print one JSON object per event", false);
  return shortenHelp(command, COMMON_FLAGS);
}
