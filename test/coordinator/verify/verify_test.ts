import assert from "node:assert/strict";
import { cp, readFile, rename, writeFile } from "node:fs/promises";
import type { CheckResult } from "../../../coordinator/verify/check.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32, type Tensor } from "../../../shared/tensor/tensor.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { Golden, goldenPath } from "../../support/goldens.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { testTutti, type TuttiHome } from "../../support/run_tutti.ts";
import { keepResults } from "../../support/keep_results.ts";

/** What the bundled goldens hold and this version computes. */
const COMPUTED = [
  "unet",
  "unet_odd_size",
  "text",
  "vae",
  "afa",
  "afa_gradients",
  "ablations",
  "sample",
];

const verdicts = (results: readonly CheckResult[]) =>
  Object.fromEntries(results.map(({ name, verdict }) => [name, verdict]));

testTutti(
  "tutti verify passes, and gives the same numbers through a cluster as in one process",
  async (home) => {
    const [cluster = [], local] = await Promise.all(
      ["cluster", "local"].map((via) =>
        // The gradients' 75 graphs of several hundred nodes take their time to load.
        home.json<CheckResult>(["verify", "--via", via], { timeoutMs: 240_000 })
      ),
    );
    assert.deepEqual(await home.processes(), []);
    assert.deepEqual(cluster, local);

    const byName = new Map(cluster.map((result) => [result.name, result]));
    for (const name of [...COMPUTED.map((check) => `sd15/${check}`), "noise", "schedulers/ddim"]) {
      const { verdict, comparisons = [], tolerance = 0 } = byName.get(name) ?? {};
      assert.equal(verdict, "ok", name);
      assert.ok(
        comparisons.length > 0 && comparisons.every((c) => c.relativeL2 <= tolerance),
        name,
      );
    }
    // All that experts are asked for in the folder of methods.
    const methods = cluster.filter(({ name }) => name.startsWith("ensembling."));
    assert.equal(methods.length, 20);
    assert.deepEqual(methods.filter(({ verdict }) => verdict !== "ok"), []);
    // Every block of the U-Net, its time embedding and its noise.
    assert.equal(byName.get("sd15/unet")!.comparisons.length, 27);
    // The loss, the latents, and 59 weights of each of 25 aggregators.
    assert.equal(byName.get("sd15/afa_gradients")!.comparisons.length, 2 + 25 * 59);
    for (const { name, verdict, reason } of cluster) {
      assert.notEqual(verdict, "failed", name);
      if (verdict === "skipped") assert.ok(reason, name);
    }
  },
);

/**
 * A folder of goldens of one family, cut down to these checks so that it is quick, under names that appear
 * nowhere else.
 */
async function renamedGoldens(home: TuttiHome, checks: readonly string[]): Promise<string> {
  const folder = home.file("numbers");
  await cp(goldenPath("sd15"), `${folder}/small`, { recursive: true });
  await rename(`${folder}/small/expert-a`, `${folder}/small/anna`);
  await rename(`${folder}/small/expert-b`, `${folder}/small/bert`);
  await rename(`${folder}/small/expected`, `${folder}/small/wanted`);
  const manifest = await readManifest(goldenPath("sd15"));
  const kept = Object.entries(manifest.checks).filter(([name]) => checks.includes(name));
  await writeManifest(`${folder}/small`, {
    ...manifest,
    experts: ["anna", "bert"],
    single_files: [],
    checks: Object.fromEntries(
      kept.map(([name, { file, ...spec }]) => [
        name,
        { ...spec, file: file.replace("expected/", "wanted/") },
      ]),
    ),
  });
  await writeManifest(folder, { folders: ["small"] });
  return folder;
}

interface Manifest {
  readonly checks: Record<string, { readonly file: string }>;
  readonly [key: string]: unknown;
}

async function readManifest(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(`${folder}/manifest.json`, "utf8"));
}

async function writeManifest(folder: string, manifest: unknown): Promise<void> {
  await writeFile(`${folder}/manifest.json`, JSON.stringify(manifest));
}

testTutti(
  "tutti verify fails exactly the check whose tensor is wrong, and names the tensor",
  async (home) => {
    const folder = await renamedGoldens(home, ["unet", "text", "vae"]);
    const manifest = await readManifest(`${folder}/small`);
    const checks = { ...manifest.checks, of_another_time: { file: "wanted/unet.safetensors" } };
    await writeManifest(`${folder}/small`, { ...manifest, checks });
    const unet = await Golden.read("sd15", "expected", "unet.safetensors");
    const tensors = Object.fromEntries(unet.names.map((name) => [name, unet.tensor(name)]));
    const wrong = unet.f32("block.IN05");
    wrong.data[7]! += 0.02;
    await writeSafetensors(`${folder}/small/wanted/unet.safetensors`, {
      ...tensors,
      "block.IN05": wrong,
    });

    const lines = await home.json<CheckResult & { event?: string; code?: string }>(
      ["verify", folder, "--via", "local"],
      { code: 1 },
    );
    const results = lines.filter(({ event }) => event === undefined);
    assert.deepEqual(lines.slice(results.length).map(({ code }) => code), ["DATA_LOSS"]);
    assert.deepEqual(verdicts(results), {
      "small/unet": "failed",
      "small/text": "ok",
      "small/vae": "ok",
      "small/of_another_time": "skipped",
    });
    const { tolerance = 0, comparisons } = results[0]!;
    const beyond = comparisons.filter(({ relativeL2 }) => relativeL2 > tolerance);
    assert.deepEqual(beyond.map(({ tensor }) => tensor), ["block.IN05"]);
    assert.ok(Math.abs(beyond[0]!.maxAbs - 0.02) < 1e-4);

    const { stdout, stderr } = await home.expect(1, ["verify", folder, "--via", "local"]);
    assert.match(stdout, /^small\/unet +\S+ +2\.0e-2 +0\.0001 failed at block\.IN05$/m);
    assert.match(stdout, /^small\/text +\S+ +\S+ +0\.0001 ok$/m);
    assert.match(stdout, /^2 ok, 1 failed, 1 skipped \(cpu, f32, local\)$/m);
    assert.match(stderr, /^error: 1 checks failed: do not trust the images of this machine/);
  },
);

testTutti(
  "tutti verify takes goldens of another size, dtype and number of experts",
  async (home) => {
    const folder = await renamedGoldens(home, []);
    const expert = await openGoldenExpert("b");
    const timesteps = [77];
    const config = { ...await sessionConfig(expert), height: 6, width: 10, timesteps };
    const session = keepResults(await expert.openSession(config));
    const x = latentsFor(expert.description, config);
    const everything = { stepIndex: 0, first: "IN00", last: "OUT11" };
    const { hiddenStates: eps } = await session.forward({ ...everything, hiddenStates: x });
    await session.close();
    await expert.close();
    const timestep: Tensor = { dtype: "float32", shape: [1], data: Float32Array.from(timesteps) };
    await writeSafetensors(`${folder}/small/wanted/other.safetensors`, {
      ...{ x, ctx: config.encoderHiddenStates, timestep, eps },
      never: f32([1]),
    });
    const check = { file: "wanted/other.safetensors", expert: 0, expect: ["eps"] };
    const manifest = { ...await readManifest(`${folder}/small`), experts: ["bert"] };

    await writeManifest(`${folder}/small`, { ...manifest, checks: { unet: check } });
    const [result] = await home.json<CheckResult>(["verify", folder]);
    assert.deepEqual([result!.name, result!.verdict], ["small/unet", "ok"]);
    assert.deepEqual(result!.comparisons, [{ tensor: "eps", relativeL2: 0, maxAbs: 0 }]);

    const checks = {
      unet: { ...check, expect: ["never"] },
      unet_odd_size: { ...check, expert: 1 },
      text: { ...check, expect: ["missing"] },
      horoscope: check,
    };
    await writeManifest(`${folder}/small`, { ...manifest, checks });
    const { stdout } = await home.expect(1, ["verify", folder, "--via", "local"]);
    assert.match(stdout, /^small\/unet +failed \(This check computes no tensor "never"\)$/m);
    assert.match(
      stdout,
      /^small\/unet_odd_size +failed \(Manifest .* has no expert 1: it lists 1\)$/m,
    );
    assert.match(stdout, /^small\/text +failed \(.*input_ids.*\)$/m);
    assert.match(stdout, /^small\/horoscope +skipped \(this version knows no such check\)$/m);
  },
);

testTutti("tutti verify refuses a folder whose manifests prove nothing", async (home) => {
  const folder = home.file("goldens");
  await Deno.mkdir(`${folder}/a`, { recursive: true });
  const refused = async (message: RegExp) =>
    assert.match((await home.expect(4, ["verify", folder])).stderr, message);

  await refused(/Cannot read manifest ".*goldens\/manifest\.json"/);
  await writeFile(`${folder}/manifest.json`, "{");
  await refused(/Cannot read manifest ".*goldens\/manifest\.json": .*JSON/);
  await writeManifest(folder, {});
  await refused(/Manifest ".*goldens\/manifest\.json" must list "folders"/);
  await writeManifest(folder, { folders: [] });
  await refused(/must have a check that this version can run/);
  await writeManifest(folder, { folders: ["a"] });
  await refused(/Cannot read manifest ".*goldens\/a\/manifest\.json"/);
  await writeManifest(`${folder}/a`, { family: "sd15", experts: [], checks: {} });
  await refused(/Manifest ".*goldens\/a\/manifest\.json" must have "tolerance"/);
  const unet = { unet: { file: "x" } };
  await writeManifest(`${folder}/a`, { family: "sd15", experts: [], checks: unet, tolerance: {} });
  await refused(/must give a "forward" tolerance as a number >= 0/);
});
