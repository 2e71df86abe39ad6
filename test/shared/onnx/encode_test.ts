import assert from "node:assert/strict";
import { encodeModel } from "../../../shared/onnx/encode.ts";
import {
  type Attributes,
  type AttributeValue,
  type Graph,
  GraphBuilder,
} from "../../../shared/onnx/graph.ts";
import { Conv } from "../../../shared/onnx/ops/convolution.ts";
import { Gelu } from "../../../shared/onnx/ops/elementwise.ts";
import { MultiHeadAttention } from "../../../shared/onnx/ops/linalg.ts";
import { Reshape, ResizeNearest, Transpose } from "../../../shared/onnx/ops/movement.ts";
import { LayerNormalization } from "../../../shared/onnx/ops/normalization.ts";
import { DTYPES } from "../../../shared/tensor/dtype.ts";
import { type DecodedAttribute, decodeModel } from "./decode_model.ts";

/** A graph with every kind of attribute, an op of Microsoft's domain, an absent input, f16 weights and a constant. */
function sampleGraph(): Graph {
  const g = new GraphBuilder("sample");
  const path = "/models/some model/a.safetensors";
  const image = g.input("image", "float32", ["B", 4, "H", "W"]);
  const size = g.input("size", "int64", [2]);
  const weight = g.weight("conv.weight", "float32", [4, 4, 3, 3], {
    path,
    offset: 1001,
    length: 576,
  });
  const norm = g.weight("norm.weight", "float32", [4], { path, offset: 3, length: 16 });
  g.weight("far", "float16", [5], { path, offset: 2 ** 40 + 1, length: 10 });
  const h = Conv(g, ResizeNearest(g, image, size, ["TH", "TW"]), weight, undefined, {
    stride: 2,
    pads: [0, 1, 2, 3],
  });
  const tokens = Transpose(g, Reshape(g, h, [0, 4, -1]), [0, 2, 1]);
  const normed = LayerNormalization(g, tokens, norm, norm, 1e-6);
  g.output("y", Gelu(g, MultiHeadAttention(g, normed, normed, normed, 2)));
  return g.build();
}

/** By the type that the message claims: a wrong claim is a wrong attribute. */
function decodeAttribute({ type, f, i, s, ints }: DecodedAttribute): AttributeValue {
  if (type === 1) return { float: f };
  if (type === 2) return { int: i };
  if (type === 3) return { string: new TextDecoder().decode(s) };
  assert.equal(type, 7);
  return { ints };
}

/** As f32, which is what ONNX stores. */
function roundFloats(attributes: Attributes): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      name,
      "float" in value ? { float: Math.fround(value.float) } : value,
    ]),
  );
}

Deno.test("encodeModel() writes a model that decodes to the graph it was made of", () => {
  const graph = sampleGraph();
  const model = decodeModel(encodeModel(graph).bytes);
  assert.equal(model.ir_version, 9);
  assert.deepEqual(model.opset_import, [
    { domain: "", version: 20 },
    { domain: "com.microsoft", version: 1 },
  ]);
  assert.equal(model.graph.name, "sample");
  const nodes = model.graph.node.map(({ op_type, domain, input, output, attribute }) => ({
    op: op_type,
    domain,
    inputs: input,
    outputs: output,
    attributes: Object.fromEntries(attribute.map((a) => [a.name, decodeAttribute(a)])),
  }));
  assert.deepEqual(
    nodes,
    graph.nodes.map((node) => ({ ...node, attributes: roundFloats(node.attributes) })),
  );
  // An optional input that is not given is an empty name.
  assert.deepEqual(nodes.find(({ op }) => op === "Resize")?.inputs.slice(1, 3), ["", ""]);
});

Deno.test("encodeModel() keeps inputs and outputs with their types and symbols", () => {
  const graph = sampleGraph();
  const { input, output } = decodeModel(encodeModel(graph).bytes).graph;
  for (const [values, infos] of [[graph.inputs, input], [graph.outputs, output]] as const) {
    const decoded = infos.map(({ name, type: { tensor_type: { elem_type, shape } } }) => ({
      name,
      elem_type,
      shape: shape.dim.map(({ dim_value, dim_param }) => dim_value ?? dim_param),
    }));
    const expected = values.map(({ name, dtype, shape }) => ({
      name,
      elem_type: DTYPES[dtype].onnx,
      shape,
    }));
    assert.deepEqual(decoded, expected);
  }
  assert.deepEqual(graph.inputs[0]?.shape, ["B", 4, "H", "W"]);
});

Deno.test("encodeModel() refers to weights by file, offset and length, and copies none of them", () => {
  const { bytes, weightsFolder } = encodeModel(sampleGraph());
  assert.equal(weightsFolder, "/models/some model");
  const { initializer } = decodeModel(bytes).graph;
  const external = initializer.filter(({ data_location }) => data_location === 1).map((i) => {
    assert.equal(i.raw_data, undefined);
    const { location, offset, length } = Object.fromEntries(
      i.external_data.map(({ key, value }) => [key, value]),
    );
    return [i.name, i.data_type, i.dims, location, offset, length];
  });
  assert.deepEqual(external, [
    ["conv.weight", 1, [4, 4, 3, 3], "a.safetensors", "1001", "576"],
    ["norm.weight", 1, [4], "a.safetensors", "3", "16"],
    ["far", 10, [5], "a.safetensors", "1099511627777", "10"],
  ]);
  const target = initializer.find(({ data_type, dims }) => data_type === 7 && dims[0] === 3)!;
  assert.deepEqual([...new BigInt64Array(new Uint8Array(target.raw_data!).buffer)], [0n, 4n, -1n]);
});

Deno.test("encodeModel() refuses weights in two folders, whatever the files are called", () => {
  const g = new GraphBuilder("scattered");
  g.weight("a", "float32", [1], { path: "/models/a/model.safetensors", offset: 0, length: 4 });
  g.weight("b", "float32", [1], { path: "/models/b/model.safetensors", offset: 0, length: 4 });
  assert.throws(() => encodeModel(g.build()), {
    name: "FormatError",
    message:
      'Graph "scattered" needs its weights in one folder: current folders are /models/a, /models/b',
  });
});

Deno.test("encodeModel() takes weights of two files of one folder, and a graph without any", () => {
  const g = new GraphBuilder("shards");
  g.weight("a", "float32", [1], { path: "/models/1.safetensors", offset: 0, length: 4 });
  g.weight("b", "float32", [1], { path: "/models/2.safetensors", offset: 0, length: 4 });
  const { bytes, weightsFolder } = encodeModel(g.build());
  assert.equal(weightsFolder, "/models");
  const locations = decodeModel(bytes).graph.initializer.map((i) => i.external_data[0]?.value);
  assert.deepEqual(locations, ["1.safetensors", "2.safetensors"]);
  assert.equal(encodeModel(new GraphBuilder("bare").build()).weightsFolder, undefined);
});
