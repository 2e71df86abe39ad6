import assert from "node:assert/strict";
import { FormatError } from "../../../shared/errors.ts";
import { Weights } from "../../../shared/models/weights.ts";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import type { Shape } from "../../../shared/tensor/tensor.ts";
import { weightTable } from "./key_tables.ts";

function weightsOf(tensors: Readonly<Record<string, Shape>>): Weights {
  return Weights.of(weightTable(Object.entries(tensors)));
}

Deno.test("Weights looks up by scope and points at the checkpoint's bytes", () => {
  const weights = weightsOf({ "a.weight": [2, 3], "down.1.conv.weight": [4, 2, 3, 3] });
  const g = new GraphBuilder("g");
  const conv = weights.scope("down", 1).scope("conv");
  assert.ok(conv.has("weight") && !conv.has("bias"));
  const value = conv.tensor(g, "weight", [4, 2, 3, 3]);
  assert.deepEqual(value, { name: "down.1.conv.weight", dtype: "float32", shape: [4, 2, 3, 3] });
  weights.scope("a").tensor(g, "weight", [2, 3]);
  weights.check("the model");
  assert.deepEqual(g.build().initializers[0], {
    ...value,
    external: { path: "/nowhere/model.safetensors", offset: 24, length: 288 },
  });
});

Deno.test("Weights.check() lists missing, mis-shaped and unused keys in one error", () => {
  const weights = weightsOf({ "conv.weight": [4, 2, 3, 3], "conv.bias": [5], "extra.weight": [1] });
  const g = new GraphBuilder("g");
  const conv = weights.scope("conv");
  conv.tensor(g, "weight", [4, 2, 3, 3]);
  conv.tensor(g, "bias", [4]);
  weights.scope("norm").tensor(g, "weight", [4], { shape: [4, 1, 1] });
  weights.scope("norm").tensor(g, "bias", [4], { shape: [4, 1, 1] });
  assert.throws(() => weights.check('U-Net of "a"'), (error: FormatError) => {
    assert.ok(error instanceof FormatError);
    assert.equal(
      error.message,
      'U-Net of "a" does not fit its config: 2 missing (norm.weight [4], norm.bias [4]); ' +
        "1 mis-shaped (conv.bias must be [4]: current shape is [5]); 1 unused (extra.weight)",
    );
    assert.deepEqual(error.details, { missing: "2", misshaped: "1", unused: "1" });
    return true;
  });
});

Deno.test("Weights.check() shows twelve keys of a long list and counts the rest", () => {
  const weights = weightsOf(
    Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`layer.${i}.weight`, [1]])),
  );
  assert.throws(
    () => weights.check("the model"),
    /20 unused \(layer\.0\.weight, .*layer\.11\.weight, and 8 more\)/,
  );
});

Deno.test("Weights: buffers that old exports carry may stay unused, nothing else", () => {
  weightsOf({
    "text_model.embeddings.position_ids": [1, 77],
    "position_ids": [77],
    "logit_scale": [],
  }).check("the text encoder");
  assert.throws(() => weightsOf({ "position_ids.weight": [1] }).check("it"), FormatError);
  assert.throws(() => weightsOf({ "old_position_ids": [1] }).check("it"), FormatError);
});

Deno.test("Weights takes a 1x1 convolution's weight for a matrix, and no other reshaping", () => {
  const weights = weightsOf({ "to_q.weight": [8, 4, 1, 1], "to_k.weight": [4, 8] });
  const g = new GraphBuilder("g");
  const value = weights.scope("to_q").tensor(g, "weight", [8, 4]);
  assert.deepEqual(value.shape, [8, 4]);
  weights.scope("to_k").tensor(g, "weight", [8, 4]);
  assert.throws(() => weights.check("it"), {
    message:
      "it does not fit its config: 1 mis-shaped (to_k.weight must be [8,4]: current shape is [4,8])",
  });
  const matrix = weightsOf({ "proj_in.weight": [8, 4] });
  matrix.scope("proj_in").tensor(g, "weight", [8, 4, 1, 1]);
  assert.throws(() => matrix.check("it"), /1 mis-shaped/);
});

Deno.test("Weights: one tensor seen in two shapes lies in the same bytes", () => {
  const weights = weightsOf({ "norm.weight": [4] });
  const g = new GraphBuilder("g");
  const norm = weights.scope("norm");
  assert.deepEqual(norm.tensor(g, "weight", [4]).shape, [4]);
  assert.deepEqual(norm.tensor(g, "weight", [4], { shape: [4, 1, 1] }).shape, [4, 1, 1]);
  weights.check("the model");
  const [plain, viewed] = g.build().initializers;
  assert.ok("external" in plain! && "external" in viewed!);
  assert.deepEqual(viewed.external, plain.external);
});

Deno.test("Weights refuses whole numbers, which are codes of a quantised checkpoint", () => {
  const weights = Weights.of(weightTable([["w", [2]]], "int8"));
  weights.tensor(new GraphBuilder("g"), "w", [2]);
  assert.throws(
    () => weights.check("it"),
    /1 of type int8, which has to be one of float64, float32, .* \(w\): get the model in fp8, f16 or bf16$/,
  );
});
