import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { holdRun } from "../../../../coordinator/training/hold_run.ts";
import type { Stage } from "../../../../coordinator/zoo/recipes/recipe.ts";
import { runRecipe, type ZooEvent } from "../../../../coordinator/zoo/recipes/run_recipe.ts";
import { openCheckpoint } from "../../../../shared/checkpoint/checkpoint.ts";
import { tempFolder } from "../../../support/temp_folder.ts";
import { smallContext } from "./small_recipe.ts";

const WEIGHTS = [
  "vae/diffusion_pytorch_model.safetensors",
  "base/unet/diffusion_pytorch_model.safetensors",
  "base/text_encoder/model.safetensors",
];

async function train(out: string, stages: readonly Stage[]): Promise<ZooEvent[]> {
  return await Array.fromAsync(runRecipe(await smallContext(out), stages));
}

/** Trains in a process of its own, which gets SIGKILL as soon as it has taken a step. */
async function trainAndKill(out: string, stage: Stage, step: number): Promise<void> {
  const program = fileURLToPath(new URL("small_zoo_program.ts", import.meta.url));
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", program, out],
    ...{ stdout: "piped", stderr: "inherit" },
  }).spawn();
  const lines = createInterface({ input: Readable.fromWeb(process.stdout as never) });
  for await (const line of lines) {
    const event = JSON.parse(line) as ZooEvent;
    if (event.stage === stage && event.event === "step" && event.step === step) {
      process.kill("SIGKILL");
      break;
    }
  }
  lines.close();
  assert.equal((await process.status).signal, "SIGKILL");
}

Deno.test("a zoo that is killed in the middle of a stage ends with the bits of one that was not", async () => {
  await using whole = await tempFolder();
  await using cut = await tempFolder();
  await train(whole.path, ["vae", "base"]);
  await trainAndKill(cut.path, "base", 5);
  const unfinished = cut.join(`base.${crypto.randomUUID()}.partial`);
  await Deno.mkdir(unfinished);
  const rest = await train(cut.path, ["vae", "base", "round"]);
  await assert.rejects(Deno.stat(unfinished), Deno.errors.NotFound);
  assert.deepEqual(rest[0], { stage: "vae", event: "there" });
  // Checkpoints are written every 2 steps.
  const firstStep = rest.find((event) => event.event === "step");
  assert.equal(firstStep?.step, 5);
  for (const path of WEIGHTS) {
    const [expected, actual] = await Promise.all([
      Deno.readFile(whole.join(path)),
      Deno.readFile(cut.join(path)),
    ]);
    assert.deepEqual(actual, expected, path);
  }

  const model = await openCheckpoint(cut.join("round"));
  assert.deepEqual(model.unet.config.blockOutChannels, [8, 16]);
  const [unet, text] = WEIGHTS.slice(1).map((path) => path.slice("base/".length));
  const read = (model: string, path: string) => Deno.readFile(cut.join(model, path));
  assert.deepEqual(await read("round", text!), await read("base", text!));
  assert.notDeepEqual(await read("round", unet!), await read("base", unet!));
  const names = await Array.fromAsync(Deno.readDir(cut.join("runs", "round")), ({ name }) => name);
  assert.deepEqual(
    names.map((name) => name.replace(/-[0-9a-f]{12}/, "-HASH")).sort(),
    ["latents-HASH.safetensors", "loss.svg", "report.json"],
  );
  await assert.rejects(
    Array.fromAsync(runRecipe(await smallContext(cut.path, { seed: 4n }))),
    {
      name: "FormatError",
      message: `A run goes on with its own settings: "seed" must be "3" as in "${
        cut.join("zoo.json")
      }": current value is "4"`,
    },
  );
});

Deno.test("a zoo has one trainer at a time", async () => {
  await using temp = await tempFolder();
  using _held = await holdRun(temp.path);
  await assert.rejects(train(temp.path, ["vae"]), { code: "FAILED_PRECONDITION" });
});

Deno.test("a stage without the one that it needs says which", async () => {
  await using temp = await tempFolder();
  await assert.rejects(train(temp.path, ["round"]), {
    name: "UsageError",
    message: `Stage "round" needs "vae": "${temp.join("vae")}" does not exist`,
  });
});
