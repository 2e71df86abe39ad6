import assert from "node:assert/strict";
import { resolve } from "node:path";
import { ensemblePlan } from "../../../coordinator/ensemble/ensemble_plan.ts";
import { UsageError } from "../../../shared/errors.ts";
import { ZOO_EXPERTS, zooPath } from "../../support/zoo.ts";

Deno.test("ensemblePlan() without flags is the bundled ensemble", async () => {
  const plan = await ensemblePlan({});
  assert.deepEqual(plan.experts, ZOO_EXPERTS.map((name) => ({ name, model: zooPath(name) })));
  const { name, sabw, vae, tokenizer } = plan;
  assert.deepEqual([name, sabw], ["shapes", { kind: "trained", path: zooPath("sabw") }]);
  assert.deepEqual([vae, tokenizer], [zooPath("vae"), zooPath("tokenizer")]);
});

Deno.test("ensemblePlan() lets flags win over the file, with paths from the working folder", async () => {
  const plan = await ensemblePlan({
    ...{ ensemble: zooPath("ensemble.toml"), sabw: "mine/sabw" },
    ...{ vae: "v", tokenizer: "t" },
  });
  assert.deepEqual(plan.sabw, { kind: "trained", path: resolve("mine/sabw") });
  assert.deepEqual([plan.vae, plan.tokenizer], [resolve("v"), resolve("t")]);
  assert.equal(plan.experts.length, 3);
  assert.deepEqual((await ensemblePlan({ sabw: "uniform" })).sabw, { kind: "uniform" });
});

Deno.test("ensemblePlan() keeps the order of --workers", async () => {
  const plan = await ensemblePlan({
    ...{ workers: "b.example:7070, 127.0.0.1:7071,[::1]:7072", vae: "v", tokenizer: "t" },
  });
  assert.deepEqual(plan.experts, [
    { name: "b.example:7070", addresses: [{ host: "b.example", port: 7070 }] },
    { name: "127.0.0.1:7071", addresses: [{ host: "127.0.0.1", port: 7071 }] },
    { name: "[::1]:7072", addresses: [{ host: "::1", port: 7072 }] },
  ]);
  assert.deepEqual(plan.sabw, { kind: "uniform" });
  assert.equal(plan.scheduler, undefined);
});

Deno.test("ensemblePlan() takes names of models, in their order", async () => {
  const plan = await ensemblePlan({ experts: "photo, anime", vae: "v" });
  assert.deepEqual(plan.experts, [
    { name: "photo", choice: { name: "photo" } },
    { name: "anime", choice: { name: "anime" } },
  ]);
});

Deno.test("ensemblePlan() refuses contradictions, gaps and malformed addresses", async () => {
  const shared = { vae: "v", tokenizer: "t" };
  const cases = [
    [{ ensemble: "a.toml", workers: "a:1" }, /--ensemble and --workers/],
    [{ experts: "a", workers: "a:1" }, /--workers and --experts/],
    [{ workers: "a:1", tokenizer: "t" }, /--workers needs --vae/],
    [{ experts: "a" }, /--experts needs --vae/],
    [{ experts: "a,,b", ...shared }, /--experts must be names .*: current value is "a,,b"$/],
    [{ experts: "a,b,a", ...shared }, /current value is "a,b,a" \("a" comes twice\)/],
    [{ workers: "a:1,,b:2", ...shared }, /Address must be HOST:PORT .*: current value is ""/],
    [{ workers: "", ...shared }, /Address must be HOST:PORT/],
    [{ workers: "a", ...shared }, /the port is missing: a:7070/],
  ] as const;
  for (const [flags, message] of cases) {
    await assert.rejects(ensemblePlan(flags), (error: Error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("ensemblePlan() says how an ensemble is made of a model", async () => {
  const file = zooPath("round", "unet", "diffusion_pytorch_model.safetensors");
  const wrong = [
    { ensemble: file },
    { ensemble: zooPath("round") },
    { experts: "photo,dreamy_8.safetensors" },
    { workers: "dreamy_8.safetensors" },
  ];
  for (const flags of wrong) {
    await assert.rejects(
      ensemblePlan(flags),
      /" is a model\. An ensemble file names models: write .*\[\[experts\]\].* give --ensemble castles\.toml$/,
    );
  }
});
