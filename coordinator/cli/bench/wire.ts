/** `tutti bench wire`: what the wire dtypes do to an image. @module */

import { type Command, Option } from "commander";
import { WIRE_DTYPES, type WireDtype } from "../../../shared/wire/codec/wire_dtype.ts";
import type { PlaneChoice } from "../../../shared/wire/plane/plane_kind.ts";
import { benchWire, wireFigures } from "../../bench/wire_bench.ts";
import { type Ensemble, openEnsemble } from "../../ensemble/ensemble.ts";
import { type EnsembleFlags, ensemblePlan } from "../../ensemble/ensemble_plan.ts";
import { newJob } from "../../jobs/job_spec.ts";
import { prepareJob } from "../../jobs/prepare_job.ts";
import { MAX_STEPS } from "../../settings/limits.ts";
import { finiteNumber, imageSize, oneOf, seed, wholeNumber } from "../flags.ts";
import { callsWorkers } from "../security_flags.ts";
import { planeOption } from "../transport_flags.ts";
import { defineBench } from "./bench_entry.ts";
import type { ImageSize } from "./model_options.ts";
import { wireText } from "./wire_output.ts";

interface WireFlags extends Omit<EnsembleFlags, "lora"> {
  readonly prompt: string;
  readonly dtypes: readonly WireDtype[];
  readonly steps: number;
  readonly guidance: number;
  readonly seed: bigint;
  readonly size?: ImageSize;
  readonly plane: PlaneChoice;
}

const LOSSY = WIRE_DTYPES.filter((dtype) => dtype !== "f32");
/** What the documentation draws first. */
const PROMPT = "a green heart above a yellow square on a plain black background";

const NOTES =
  `Draws an image with each dtype, from the same noise, and compares all with f32, which carries every bit.

  sent, received  bytes of feature maps in one step, to and from all experts
  latents         relative L2 of the final latents: all that the errors of all blocks and steps have become
  PSNR            of the decoded image, 20 log10(white - black) - 10 log10(mean squared error), not rounded to 8 bits
  blocks          relative L2 of the aggregated features of a block in the f32 run, encoded and decoded once: median over
                  the steps. Not of the last block, whose results travel in f32, as do the latents

Shared memory carries f32 as it is, so auto means unix for workers of this machine.

Examples:
  tutti bench wire
  tutti bench wire --ensemble castles.toml --prompt "a castle at dawn" --steps 30
  tutti bench wire --dtypes int8 --json`;

export const wireBench = defineBench<WireFlags>({
  name: "wire",
  summary: "bytes and error of an image in each wire dtype",
  description: "Measures what each wire dtype saves, and what it does to the image.",
  notes: NOTES,
  options: (command) =>
    callsWorkers(ensembleOptions(command))
      .option("--prompt <text>", "what to draw", PROMPT)
      .addOption(
        new Option("--dtypes <list>", "beside f32, separated by commas")
          .argParser(dtypeList).default(LOSSY, LOSSY.join(",")),
      )
      .option("--steps <n>", "denoising steps", wholeNumber("--steps", 1, MAX_STEPS), 50)
      .option("--guidance <scale>", "classifier-free guidance", finiteNumber("--guidance"), 7.5)
      .addOption(
        new Option("--seed <n>", "of the noise").argParser(seed("--seed")).default(1n, "1"),
      )
      .option("--size <pixels>", "512, or 768x512 (default: the experts' own)", imageSize("--size"))
      .addOption(planeOption()),
  full: { args: [], minutes: 1 },
  toy: ["--steps", "1", "--dtypes", "int8"],
  run: async (flags, context) => {
    const { dtypes, steps, guidance } = flags;
    await using ensemble = await openEnsemble(await ensemblePlan(flags), {
      signal: context.signal,
    });
    const images = dtypes.length + 1;
    using progress = context.progress("Sampling", images * steps);
    let done = 0;
    const { request, size } = requestOf(ensemble, flags);
    const rows = await benchWire(ensemble, {
      ...{ dtypes, request, signal: context.signal },
      plane: planeOf(ensemble, flags.plane),
      onStep: (dtype) => progress.update(++done, dtype),
    });
    progress.stop();
    const figures = wireFigures(rows, {
      ...{ model: ensemble.name, size: `${size.width}x${size.height}`, steps, guidance },
      ...{ seed: String(flags.seed), experts: ensemble.experts.length },
    });
    return { figures, text: wireText(rows, figures) };
  },
});

function ensembleOptions(command: Command): Command {
  return command
    .option("--ensemble <file>", "ensemble file (default: the experts that come with Tutti)")
    .option("--workers <addresses>", "running workers, HOST:PORT,HOST:PORT")
    .option("--sabw <folder>", 'trained aggregators, or "uniform" (default: the ensemble\'s)')
    .option("--vae <path>", "VAE: folder or single file (default: the ensemble's)")
    .option("--tokenizer <folder>", "tokenizer (default: the ensemble's)");
}

function dtypeList(text: string): readonly WireDtype[] {
  return text.split(",").map((part) => oneOf("--dtypes", LOSSY)(part.trim()));
}

/** Left to itself, f32 to a worker of this machine would not travel at all. */
function planeOf({ members }: Ensemble, plane: PlaneChoice): PlaneChoice {
  const isHere = !members.some(({ isElsewhere }) => isElsewhere);
  return plane === "auto" && isHere ? "unix" : plane;
}

function requestOf(ensemble: Ensemble, flags: WireFlags) {
  const spec = newJob(
    { prompt: flags.prompt, seeds: [flags.seed], ensemble: ensemble.name },
    {
      steps: flags.steps,
      guidance: flags.guidance,
      waves: 1,
      aggregate: "all",
      ...(flags.size && { size: flags.size }),
    },
  );
  const { request: { wireDtypes: _, ...request }, size } = prepareJob(ensemble, spec, {
    warn: () => {},
  });
  return { request, size };
}
