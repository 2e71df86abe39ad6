import assert from "node:assert/strict";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import type { CheckResult } from "../../../coordinator/verify/check.ts";
import { type EvalCheck, EvalFolder } from "../../../coordinator/verify/eval/eval_folder.ts";
import { verifyEval } from "../../../coordinator/verify/eval/verify_eval.ts";
import { openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { goldenPath } from "../../support/goldens.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const FOLDER = goldenPath("eval");

/** How many checks need no expert, by part. */
const PARTS = { samplers: 119, metrics: 22, preprocessing: 31, networks: 10, pipelines: 5 };

/** The checks of these parts. */
function verifyParts(folder: string, ...parts: readonly string[]): Promise<CheckResult[]> {
  return Array.fromAsync(verifyEval(folder, {
    lane: { device: "cpu", threads: 1 },
    openExpert: (path) => Promise.reject(new Error(`No check of these asks for "${path}"`)),
    leastTolerance: 0,
    isWanted: () => true,
  }, parts));
}

for (const [part, count] of Object.entries(PARTS)) {
  Deno.test(`every check of ${part} that is not optional runs, and none fails`, async () => {
    const { checks } = await EvalFolder.open(FOLDER);
    const wanted = checks.filter((check) => check.part === part);
    const results = new Map((await verifyParts(FOLDER, part)).map((one) => [one.name, one]));
    assert.equal(wanted.length, count);
    assert.deepEqual([...results.keys()], wanted.map(({ name }) => name));
    for (const { name, optional } of wanted) {
      const { verdict, reason, comparisons } = results.get(name)!;
      assert.notEqual(verdict, "failed", `${name}: ${reason} ${JSON.stringify(comparisons)}`);
      if (!optional) assert.equal(verdict, "ok", name);
      if (verdict === "ok") assert.ok(comparisons.length > 0, name);
    }
  });
}

/** A folder with the checks of these names, whose files are changed. */
async function verifyDamaged(
  names: readonly string[],
  damage: (folder: string) => Promise<void>,
): Promise<CheckResult[]> {
  await using folder = await tempFolder();
  await mkdir(folder.join("samplers"));
  const { checks } = await EvalFolder.open(FOLDER);
  await writeManifest(folder.path, checks.filter(({ name }) => names.includes(name)));
  await damage(folder.path);
  return await verifyParts(folder.path, "samplers");
}
Deno.test("the mean of two experts' weights draws what the reference draws with it", async () => {
  const [result] = await Array.fromAsync(verifyEval(FOLDER, {
    lane: { device: "cpu", threads: 1 },
    openExpert: (model) => openLocalExpert({ model, device: "cpu", lanes: 1, threads: 1 }),
    leastTolerance: 0,
    isWanted: (name) => name === "ensembling.uniform_soup",
  }));
  assert.equal(result?.verdict, "ok", JSON.stringify(result));
});

Deno.test("a trajectory, a table and an error that are off fail", async () => {
  const names = ["samplers.dpmpp_2m.karras", "samplers.sigmas.beta", "samplers.convergence"];
  const results = await verifyDamaged(names, async (folder) => {
    await damage(folder, "sigma_runs.json", (json) => json["dpmpp_2m.karras"].x[3]![1]! *= 1.01);
    await damage(folder, "sigmas.json", (json) => json["beta.10"][4]! *= 1.01);
    await damage(folder, "convergence.json", (json) => json.runs.unipc_3.error["256"]! *= 1.05);
  });
  assert.deepEqual(results.map(({ name }) => name).sort(), names.sort());
  assert.deepEqual(results.map(({ verdict }) => verdict), ["failed", "failed", "failed"]);
});

Deno.test("every solver's order of convergence is compared, and one that is off fails", async () => {
  const [{ verdict, comparisons, tolerance }] = await verifyDamaged(
    ["samplers.convergence"],
    (folder) => damage(folder, "convergence.json", (json) => json.runs.heun.observed_order *= 1.05),
  ) as [CheckResult];
  const orders = comparisons.filter(({ tensor }) => tensor.endsWith("[order]"));
  assert.deepEqual(orders.length, 10);
  const off = comparisons.filter(({ relativeL2 }) => relativeL2 > tolerance!);
  assert.deepEqual([verdict, off.map(({ tensor }) => tensor)], ["failed", ["heun[order]"]]);
});

Deno.test("runs of methods are those of the manifest: its experts, steps and numbers", async () => {
  await using folder = await tempFolder();
  await mkdir(folder.join("eval"));
  await symlink(`${FOLDER}/ensembling`, folder.join("eval/ensembling"));
  // The family may be called otherwise.
  await symlink(goldenPath("sd15"), folder.join("small"));
  const { checks } = await EvalFolder.open(FOLDER);
  const named = (name: string, changes: Record<string, unknown> = {}) => {
    const check = checks.find((check) => check.name === `ensembling.${name}`)!;
    const experts = (check.inputs.experts as readonly string[])
      .map((path) => path.replace("../sd15/", "../small/"));
    return { ...check, inputs: { ...check.inputs, experts, ...changes } };
  };
  await writeManifest(folder.join("eval"), [
    named("single_c"),
    named("afa"),
    named("noise_average", { num_inference_steps: 3 }),
    named("noise_average", { guidance_scale: 5 }),
    named("one_hot_a", { one_hot: 1 }),
    named("timestep_switch", { schedule: [{ from: 900, expert: 0 }, { from: 0, expert: 1 }] }),
    named("magic_fusion_weighted", { k: [1, 0.2] }),
    named("magic_fusion_mode_1", { t0: 100 }),
  ]);
  const results = await Array.fromAsync(verifyEval(folder.join("eval"), {
    lane: { device: "cpu", threads: 1 },
    openExpert: (model) => openLocalExpert({ model, device: "cpu", lanes: 1, threads: 1 }),
    leastTolerance: 0,
    isWanted: () => true,
  }));
  assert.deepEqual(results.map(({ reason }) => reason), new Array(8).fill(undefined));
  assert.deepEqual(
    results.map(({ verdict }) => verdict),
    ["ok", "ok", ...new Array(6).fill("failed")],
  );
});

async function writeManifest(folder: string, checks: readonly EvalCheck[]): Promise<void> {
  await writeFile(`${folder}/manifest.json`, JSON.stringify({ checks }));
}

/** What of the files is changed. */
interface Damaged {
  readonly runs: {
    readonly unipc_3: { readonly error: Record<string, number> };
    readonly heun: { observed_order: number };
  };
  readonly "beta.10": number[];
  readonly "dpmpp_2m.karras": { readonly x: number[][] };
}

async function damage(
  folder: string,
  file: string,
  change: (json: Damaged) => void,
): Promise<void> {
  const json = JSON.parse(await readFile(`${FOLDER}/samplers/${file}`, "utf8"));
  change(json);
  await writeFile(`${folder}/samplers/${file}`, JSON.stringify(json));
}
