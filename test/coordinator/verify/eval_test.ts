import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import type { CheckResult } from "../../../coordinator/verify/check.ts";
import { EvalFolder } from "../../../coordinator/verify/eval/eval_folder.ts";
import { verifyEval } from "../../../coordinator/verify/eval/verify_eval.ts";
import { openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { goldenPath } from "../../support/goldens.ts";

const FOLDER = goldenPath("eval");

/** The checks of samplers need no expert. */
function verifySamplers(folder = FOLDER): Promise<CheckResult[]> {
  return Array.fromAsync(verifyEval(folder, {
    lane: { device: "cpu", threads: 1 },
    openExpert: (path) => Promise.reject(new Error(`No sampler asks for "${path}"`)),
    leastTolerance: 0,
    isWanted: (name) => name.startsWith("samplers."),
  }));
}

Deno.test("every check of samplers that is not optional runs, and none fails", async () => {
  const { checks } = await EvalFolder.open(FOLDER);
  const wanted = checks.filter(({ part }) => part === "samplers");
  const results = new Map((await verifySamplers()).map((result) => [result.name, result]));
  assert.ok(wanted.length > 100);
  assert.deepEqual([...results.keys()], wanted.map(({ name }) => name));
  for (const { name, optional } of wanted) {
    const { verdict, reason, comparisons } = results.get(name)!;
    assert.notEqual(verdict, "failed", `${name}: ${reason} ${JSON.stringify(comparisons)}`);
    if (!optional) assert.equal(verdict, "ok", name);
    if (verdict === "ok") assert.ok(comparisons.length > 0, name);
  }
});

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
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/samplers`);
    const manifest = JSON.parse(await readFile(`${FOLDER}/manifest.json`, "utf8"));
    const names = ["samplers.dpmpp_2m.karras", "samplers.sigmas.beta", "samplers.convergence"];
    const checks = manifest.checks.filter(({ name }: { name: string }) => names.includes(name));
    await Deno.writeTextFile(`${folder}/manifest.json`, JSON.stringify({ checks }));
    await damage(folder, "sigma_runs.json", (json) => json["dpmpp_2m.karras"].x[3]![1]! *= 1.01);
    await damage(folder, "sigmas.json", (json) => json["beta.10"][4]! *= 1.01);
    await damage(folder, "convergence.json", (json) => json.runs.unipc_3.error["256"]! *= 1.05);
    const results = await verifySamplers(folder);
    assert.deepEqual(results.map(({ name }) => name).sort(), names.sort());
    assert.deepEqual(results.map(({ verdict }) => verdict), ["failed", "failed", "failed"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** What of the files is changed. */
interface Damaged {
  readonly runs: { readonly unipc_3: { readonly error: Record<string, number> } };
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
  await Deno.writeTextFile(`${folder}/samplers/${file}`, JSON.stringify(json));
}
