/**
 * Inception-v3 as FID has it (the TensorFlow network of 2015, in torchvision's names): average pools inside blocks leave the
 * padding out, the last block pools by maximum, and nothing else is trained on what its features are used for.
 *
 * @module
 */

import { readWeightTable } from "../../../shared/checkpoint/weight_files.ts";
import { GraphRunner } from "../../../shared/engine/graph_runner.ts";
import type { ComputeOptions } from "../../../shared/engine/lower_graph.ts";
import { FormatError } from "../../../shared/errors.ts";
import { Weights, type WeightTable } from "../../../shared/models/weights.ts";
import { type Graph, GraphBuilder, type Value } from "../../../shared/onnx/graph.ts";
import { Conv } from "../../../shared/onnx/ops/convolution.ts";
import { Add, Div, Mul, Relu, Sqrt, Sub } from "../../../shared/onnx/ops/elementwise.ts";
import { Gemm } from "../../../shared/onnx/ops/linalg.ts";
import { Concat } from "../../../shared/onnx/ops/movement.ts";
import { AveragePool, MaxPool } from "../../../shared/onnx/ops/pooling.ts";
import { ReduceMean } from "../../../shared/onnx/ops/reduction.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";

const BATCH_NORM_EPSILON = 1e-3;

/** What training kept beside the network: a second classifier, and a counter. */
const TRAINING_LEFTOVER = /^AuxLogits\.|\.num_batches_tracked$/;

export interface InceptionOutputs {
  /** The mean over the last feature map, f32 `[N, 2048]` in the published network. */
  readonly pool3: F32Tensor;
  /** f32 `[N, classes]` */
  readonly logits: F32Tensor;
  /** Without the classifier's bias, as IS has them. */
  readonly unbiasedLogits: F32Tensor;
}

interface InceptionSizes {
  readonly features: number;
  readonly classes: number;
}

export class InceptionNetwork implements AsyncDisposable {
  readonly #runner: GraphRunner;
  readonly #sizes: InceptionSizes;

  private constructor(runner: GraphRunner, sizes: InceptionSizes) {
    this.#runner = runner;
    this.#sizes = sizes;
  }

  /** @throws {FormatError} if the file is no such network: channels may differ, layers must not */
  static async open(path: string, options: ComputeOptions): Promise<InceptionNetwork> {
    const table = await readWeightTable(
      path,
      (key) => TRAINING_LEFTOVER.test(key) ? undefined : key,
    );
    const [classes, features] = table.get("fc.weight")?.shape ?? [];
    if (classes === undefined || features === undefined) {
      throw new FormatError(
        `Inception of "${path}" must have a classifier "fc.weight", in torchvision's names`,
      );
    }
    const weights = Weights.of(table);
    const graph = inceptionGraph(weights, table, { features, classes });
    weights.check(`Inception of "${path}"`);
    return new InceptionNetwork(new GraphRunner([graph], { ...options, lanes: 1 }), {
      features,
      classes,
    });
  }

  /** @param pixels f32 `[N, 3, H, W]` in -1..1, 75 pixels or more on each side */
  async run(pixels: F32Tensor): Promise<InceptionOutputs> {
    const [batch = 0] = pixels.shape;
    const { features, classes } = this.#sizes;
    const { outputs } = await this.#runner.run("inception", { pixels }, {
      pool3: { dtype: "float32", shape: [batch, features] },
      logits: { dtype: "float32", shape: [batch, classes] },
      unbiased_logits: { dtype: "float32", shape: [batch, classes] },
    });
    return {
      pool3: outputs.pool3 as F32Tensor,
      logits: outputs.logits as F32Tensor,
      unbiasedLogits: outputs.unbiased_logits as F32Tensor,
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#runner[Symbol.asyncDispose]();
  }
}

/** Builds layer by layer; how many channels a layer gives is what its weights have. */
class Layers {
  readonly g: GraphBuilder;
  readonly #weights: Weights;
  readonly #table: WeightTable;

  constructor(g: GraphBuilder, weights: Weights, table: WeightTable) {
    this.g = g;
    this.#weights = weights;
    this.#table = table;
  }

  /** Convolution, batch norm, ReLU. @param kernel height and width */
  conv(
    x: Value,
    name: string,
    kernel: readonly [number, number] = [1, 1],
    { stride = 1, isPadded = stride === 1 }: { stride?: number; isPadded?: boolean } = {},
  ): Value {
    const { g } = this;
    const [height, width] = kernel;
    const channels = this.#table.get(`${name}.conv.weight`)?.shape[0] ?? 1;
    const shape = [channels, x.shape[1] as number, height, width];
    const weight = this.#weights.tensor(g, `${name}.conv.weight`, shape);
    const [rows, columns] = isPadded ? [(height - 1) / 2, (width - 1) / 2] : [0, 0];
    const pads = [rows, columns, rows, columns] as const;
    const convolved = Conv(g, x, weight, undefined, { stride, pads });
    const of = (key: string) =>
      this.#weights.tensor(g, `${name}.bn.${key}`, [channels], { shape: [channels, 1, 1] });
    const epsilon = g.constant(f32([], [BATCH_NORM_EPSILON]), "epsilon");
    const scale = Div(g, of("weight"), Sqrt(g, Add(g, of("running_var"), epsilon)));
    const shift = Sub(g, of("bias"), Mul(g, of("running_mean"), scale));
    return Relu(g, Add(g, Mul(g, convolved, scale), shift));
  }

  /** One layer after the other. */
  chain(x: Value, ...layers: readonly (readonly [string, (readonly [number, number])?])[]): Value {
    return layers.reduce((value, [name, kernel]) => this.conv(value, name, kernel), x);
  }

  join(...values: readonly Value[]): Value {
    return Concat(this.g, values, 1);
  }

  /** The branch that pools and then convolves. */
  pooled(x: Value, name: string, pool: typeof AveragePool = AveragePool): Value {
    return this.conv(pool(this.g, x, { kernel: 3, padding: 1 }), `${name}.branch_pool`);
  }

  /** Half of the rows and columns. */
  halved(x: Value): Value {
    return MaxPool(this.g, x, { kernel: 3, stride: 2 });
  }
}

const SQUARE = [3, 3] as const, WIDE = [1, 7] as const, TALL = [7, 1] as const;
const REDUCE = { stride: 2 } as const;

function inceptionGraph(
  weights: Weights,
  table: WeightTable,
  { features, classes }: InceptionSizes,
): Graph {
  const g = new GraphBuilder("inception");
  const layers = new Layers(g, weights, table);
  let x = g.input("pixels", "float32", ["B", 3, "H", "W"]);
  x = layers.conv(x, "Conv2d_1a_3x3", SQUARE, REDUCE);
  x = layers.conv(x, "Conv2d_2a_3x3", SQUARE, { isPadded: false });
  x = layers.halved(layers.conv(x, "Conv2d_2b_3x3", SQUARE));
  x = layers.conv(x, "Conv2d_3b_1x1");
  x = layers.halved(layers.conv(x, "Conv2d_4a_3x3", SQUARE, { isPadded: false }));
  for (const name of ["Mixed_5b", "Mixed_5c", "Mixed_5d"]) x = blockA(layers, x, name);
  x = blockB(layers, x, "Mixed_6a");
  for (const name of ["Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"]) {
    x = blockC(layers, x, name);
  }
  x = blockD(layers, x, "Mixed_7a");
  x = blockE(layers, x, "Mixed_7b", AveragePool);
  x = blockE(layers, x, "Mixed_7c", MaxPool);
  const pool3 = ReduceMean(g, x, [2, 3], { keepdims: false });
  g.output("pool3", pool3);
  const weight = weights.tensor(g, "fc.weight", [classes, features]);
  g.output("logits", Gemm(g, pool3, weight, weights.tensor(g, "fc.bias", [classes])));
  g.output("unbiased_logits", Gemm(g, pool3, weight));
  return g.build();
}

function blockA(layers: Layers, x: Value, name: string): Value {
  return layers.join(
    layers.conv(x, `${name}.branch1x1`),
    layers.chain(x, [`${name}.branch5x5_1`], [`${name}.branch5x5_2`, [5, 5]]),
    layers.chain(
      x,
      [`${name}.branch3x3dbl_1`],
      [`${name}.branch3x3dbl_2`, SQUARE],
      [`${name}.branch3x3dbl_3`, SQUARE],
    ),
    layers.pooled(x, name),
  );
}

function blockB(layers: Layers, x: Value, name: string): Value {
  const double = layers.chain(x, [`${name}.branch3x3dbl_1`], [`${name}.branch3x3dbl_2`, SQUARE]);
  return layers.join(
    layers.conv(x, `${name}.branch3x3`, SQUARE, REDUCE),
    layers.conv(double, `${name}.branch3x3dbl_3`, SQUARE, REDUCE),
    layers.halved(x),
  );
}

function blockC(layers: Layers, x: Value, name: string): Value {
  return layers.join(
    layers.conv(x, `${name}.branch1x1`),
    layers.chain(
      x,
      [`${name}.branch7x7_1`],
      [`${name}.branch7x7_2`, WIDE],
      [`${name}.branch7x7_3`, TALL],
    ),
    layers.chain(
      x,
      [`${name}.branch7x7dbl_1`],
      [`${name}.branch7x7dbl_2`, TALL],
      [`${name}.branch7x7dbl_3`, WIDE],
      [`${name}.branch7x7dbl_4`, TALL],
      [`${name}.branch7x7dbl_5`, WIDE],
    ),
    layers.pooled(x, name),
  );
}

function blockD(layers: Layers, x: Value, name: string): Value {
  const seven = layers.chain(
    x,
    [`${name}.branch7x7x3_1`],
    [`${name}.branch7x7x3_2`, WIDE],
    [`${name}.branch7x7x3_3`, TALL],
  );
  return layers.join(
    layers.conv(layers.conv(x, `${name}.branch3x3_1`), `${name}.branch3x3_2`, SQUARE, REDUCE),
    layers.conv(seven, `${name}.branch7x7x3_4`, SQUARE, REDUCE),
    layers.halved(x),
  );
}

function blockE(layers: Layers, x: Value, name: string, pool: typeof AveragePool): Value {
  const split = (value: Value, branch: string) =>
    layers.join(
      layers.conv(value, `${name}.${branch}a`, [1, 3]),
      layers.conv(value, `${name}.${branch}b`, [3, 1]),
    );
  const double = layers.chain(x, [`${name}.branch3x3dbl_1`], [`${name}.branch3x3dbl_2`, SQUARE]);
  return layers.join(
    layers.conv(x, `${name}.branch1x1`),
    split(layers.conv(x, `${name}.branch3x3_1`), "branch3x3_2"),
    split(double, "branch3x3dbl_3"),
    layers.pooled(x, name, pool),
  );
}
