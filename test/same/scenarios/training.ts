/** SABW is trained through workers, killed in the middle and resumed. @module */

import assert from "node:assert/strict";
import { join } from "node:path";
import { LONG_LIVED_MS, type TuttiHome } from "../../support/run_tutti.ts";
import type { Tensor } from "../../../shared/tensor/tensor.ts";
import { type NamedTensors, numbers, readTensors } from "../outcome.ts";
import type { Scenario } from "../scenario.ts";
import { PAIR, writeEnsemble } from "./ensemble_file.ts";

const STEPS = 20;
/** Step after whose checkpoint the run is killed. */
const KILLED_AFTER = 10;
const OUT = "run";
const DATA = ["--data", "shapes/captions.jsonl", "--hold-out", "2", "--draws-per-image", "1"];
const LENGTH = ["--steps", String(STEPS), "--batch", "2", "--lr", "0.01"];
const EVERY = ["--evaluate-every", "10", "--checkpoint-every", "5"];
const WIDTHS = ["--hidden-size", "8", "--layers", "1", "--heads", "2"];

interface Report {
  readonly losses: readonly number[];
  readonly heldOut: readonly { readonly loss: number }[];
  readonly comparisons: readonly { readonly loss: number }[];
}

export const TRAINING: Scenario = {
  name: "training",
  what: `${STEPS} steps of training, killed and resumed after step ${KILLED_AFTER}`,
  play: async ({ home }) => {
    await home.expect(0, ["zoo", "shapes", "shapes", "--count", "8"]);
    const ensemble = await writeEnsemble(home, PAIR);
    const run = ["--ensemble", ensemble, "--out", OUT, ...DATA, ...LENGTH, ...EVERY, ...WIDTHS];
    const killed = home.start(["train", ...run, "--json"], { timeoutMs: LONG_LIVED_MS });
    await killed.says(new RegExp(`"event":"checkpoint","step":${KILLED_AFTER},`));
    killed.kill("SIGKILL");
    await killed.result;

    const resumed = ["train", ...run, "--resume"];
    const events = await home.json(resumed, { timeoutMs: LONG_LIVED_MS });
    const steps = events.filter(({ event }) => event === "step").map(({ step }) => Number(step));
    assert.ok(Math.min(...steps) > KILLED_AFTER, `it began anew at step ${steps[0]}`);
    return { losses: await readLosses(home), weights: await readWeights(home) };
  },
};

/** Losses of all steps, of the images that were held out, and of SABW beside what needs no training. */
async function readLosses(home: TuttiHome): Promise<NamedTensors> {
  const text = await Deno.readTextFile(home.file(OUT, "report.json"));
  const { losses, heldOut, comparisons } = JSON.parse(text) as Report;
  return new Map([
    ["steps", numbers(losses)],
    ["held out", numbers(heldOut.map(({ loss }) => loss))],
    ["comparisons", numbers(comparisons.map(({ loss }) => loss))],
  ]);
}

/** The weights of every block's aggregator, by folder and name. */
async function readWeights(home: TuttiHome): Promise<NamedTensors> {
  const weights = new Map<string, Tensor>();
  const folder = home.file(OUT, "sabw");
  const names = (await Array.fromAsync(Deno.readDir(folder))).filter((entry) => entry.isDirectory)
    .map(({ name }) => name).sort();
  for (const name of names) {
    const tensors = await readTensors(join(folder, name, "aggregator.safetensors"));
    for (const [key, tensor] of tensors) weights.set(`${name}/${key}`, tensor);
  }
  return weights;
}
