/** `tutti zoo random`, `tutti inspect` and `tutti bench` as a user runs them. @module */

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { goldenPath } from "../../support/goldens.ts";
import { jsonLines, testTutti } from "../../support/run_tutti.ts";

const TINY = ["--scale", "0.03", "--depth", "1"];

interface Metric {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

testTutti("zoo random writes a model that inspect and bench step take", async (home) => {
  const written = await home.expect(0, [
    "zoo",
    "random",
    "--family",
    "sdxl",
    ...TINY,
    "m.safetensors",
  ]);
  assert.match(
    written.stdout,
    /^m\.safetensors: sdxl with \d+ random parameters, [0-9.]+ MB of f16, seed 0, in .*\nIts configs: m\.config \(open it with --config m\.config\)\n$/,
  );
  assert.match(written.stderr, /Writing m\.safetensors \(MB\)/);
  const inspected = await home.expect(0, ["inspect", "m.safetensors", "--config", "m.config"]);
  assert.match(inspected.stdout, /^family +SDXL$/m);
  assert.match(inspected.stdout, /^missing +nothing$/m);
  assert.match(inspected.stdout, /^text encoder 2 +[0-9,]+ +[0-9.]+ MB +float16$/m);
  assert.match(inspected.stdout, /^OUT08 +resnet, norm, convolution +.*4x128x128/m);
  const bench = ["bench", "step", "--model", "m.safetensors", "--config", "m.config"];
  const report = await home.expect(0, [...bench, "--size", "64", "--steps", "1", "--matrix", "64"]);
  assert.match(report.stdout, /^attention \(MultiHeadAttention\) +\d+ +[0-9.]+ +[0-9.]+ %/m);
  const [, share] = /^whole step to best +(\S+)$/m.exec(report.stdout)!;
  assert.ok(Number(share) > 0 && Number(share) < 1, report.stdout);
});

testTutti(
  "zoo random: without a name's ending it writes a folder, and overwrites nothing",
  async (home) => {
    const [written] = await home.json(["zoo", "random", "--family", "sd15", ...TINY, "m"]);
    assert.equal(written!.layout, "diffusers");
    assert.deepEqual((await readdir(home.file("m"))).sort(), [
      "model_index.json",
      "scheduler",
      "text_encoder",
      "unet",
      "vae",
    ]);
    const again = await home.run(["zoo", "random", "--family", "sd15", ...TINY, "m"]);
    assert.equal(again.code, 2);
    assert.match(again.stderr, /"m" must not exist: this command overwrites nothing/);
    for (
      const args of [
        ["m2.ckpt", "--family", "sd15", "--layout", "single"],
        ["m2"],
        ["m2", "--family", "sd15", "--scale", "2"],
        ["m2", "--family", "flux"],
      ]
    ) {
      await home.expect(2, ["zoo", "random", ...args]);
    }
  },
);

testTutti(
  "inspect: exit code 4 for what cannot run, and a report where there is one",
  async (home) => {
    const [report] = await home.json(["inspect", goldenPath("sd15", "expert-a")]);
    assert.deepEqual(report!.missing, ["VAE"]);
    // A file of other sizes than its family's.
    const odd = await home.expect(4, ["inspect", goldenPath("sd15", "expert-a.safetensors")]);
    // The reason comes first, and no table tells of blocks that the file does not have.
    assert.match(odd.stdout, /^U-Net does not fit its config: 2 missing/);
    assert.doesNotMatch(odd.stdout, /IN00/);
    assert.match(
      odd.stderr,
      /cannot run: its U-Net, text encoder, VAE must fit the config of SD1\.5/,
    );
    const [error] = await home.json(["inspect", goldenPath("manifest.json")], { code: 4 });
    assert.equal(error!.event, "error");
    await home.expect(4, ["inspect", "nothing.safetensors"]);
  },
);

testTutti("bench load --json: one number a line, of a real worker", async (home) => {
  const args = ["bench", "load", "--model", goldenPath("sd15", "expert-a"), "--size", "64"];
  const metrics = await home.json<Metric>([...args, "--threads", "1"]);
  const byName = new Map(metrics.map((metric) => [metric.name, metric]));
  for (const { name, value, unit } of metrics) {
    assert.ok(Number.isFinite(value) && value >= 0, name);
    assert.match(unit, /^(s|bytes|ratio)$/, name);
  }
  assert.equal(byName.get("weights-to-compute")!.value, 4 * (820_564 + 22_080));
  assert.ok(byName.get("memory")!.value > 10e6);
  const expected = byName.get("memory")!.value / byName.get("weights-to-compute")!.value;
  assert.ok(Math.abs(byName.get("memory-to-weights")!.value / expected - 1) < 1e-9);
});

testTutti(
  "bench step --json tells operators and shares, and leaves no file behind",
  async (home) => {
    await Deno.mkdir(home.file("tmp"));
    const env = { TMPDIR: home.file("tmp") };
    const args = ["bench", "step", "--model", goldenPath("sd15", "expert-a"), "--size", "64"];
    const { stdout } = await home.expect(0, [...args, "--steps", "1", "--matrix", "64", "--json"], {
      env,
    });
    const values = new Map(jsonLines<Metric>(stdout).map(({ name, value }) => [name, value]));
    const share = values.get("whole-step")! / values.get("best-matrix-product")!;
    assert.ok(Math.abs(values.get("whole-step-to-best")! / share - 1) < 1e-9);
    const operators = [...values].filter(([name]) => name.startsWith("op."));
    const sum = operators.reduce((total, [, seconds]) => total + seconds, 0);
    assert.ok(
      Math.abs(sum / values.get("step")! - 1) < 1e-6,
      "operators and the rest make the step",
    );
    assert.deepEqual(await readdir(home.file("tmp")), []);
  },
);

testTutti("bench step cancelled with Ctrl-C: exit code 130, and no file is left", async (home) => {
  await Deno.mkdir(home.file("tmp"));
  const env = { TMPDIR: home.file("tmp") };
  const args = ["bench", "step", "--model", goldenPath("sd15", "expert-a"), "--size", "64"];
  const running = home.start([...args, "--steps", "5000", "--matrix", "64"], { env });
  await running.says(/Steps [1-9]/);
  running.kill("SIGINT");
  assert.equal((await running.result).code, 130);
  assert.deepEqual(await readdir(home.file("tmp")), []);
});

testTutti("bench: wrong usage", async (home) => {
  const model = goldenPath("sd15", "expert-a");
  for (
    const [args, message] of [
      [["step"], /bench step needs either --family or --model/],
      [["step", "--family", "sd15", "--model", model], /needs either --family or --model/],
      [["step", "--model", model, "--size", "100"], /--size must be multiples of 8 pixels/],
      [["load"], /bench load needs either --family or --model/],
      [["overhead", "--family", "sd16"], /Allowed choices are sd15, sd15-half, sdxl, toy/],
      [["overhead", "--family", "toy", "--size", "100"], /--size must be multiples of 8 pixels/],
      [["latency", "--pairs", "0"], /--pairs must be a whole number >= 1/],
      [["latncy"], /unknown command 'latncy' \(did you mean "latency"\?\)/],
      [["step", "--model", model, "--steps", "0"], /--steps must be a whole number >= 1/],
    ] as const
  ) {
    const { stderr } = await home.expect(2, ["bench", ...args]);
    assert.match(stderr, message);
  }
});
