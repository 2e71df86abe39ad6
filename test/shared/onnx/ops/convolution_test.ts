import assert from "node:assert/strict";
import { ShapeError } from "../../../../shared/errors.ts";
import { GraphBuilder } from "../../../../shared/onnx/graph.ts";
import { Conv, type ConvOptions, ConvTranspose } from "../../../../shared/onnx/ops/convolution.ts";
import { f32, type F32Tensor } from "../../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../../support/expert_inputs.ts";
import { assertClose } from "../../../support/goldens.ts";
import { runGraph } from "../run_graph.ts";

/** The sum over channels and kernel, in f64; pads are zeros. */
function convReference(
  x: F32Tensor,
  weight: F32Tensor,
  bias: F32Tensor,
  { stride = 1, pads = [0, 0, 0, 0] }: ConvOptions,
): F32Tensor {
  const [batch = 0, channels = 0, height = 0, width = 0] = x.shape;
  const [outChannels = 0, , kernel = 0] = weight.shape;
  const [top, left, bottom, right] = pads;
  const outHeight = Math.floor((height + top + bottom - kernel) / stride) + 1;
  const outWidth = Math.floor((width + left + right - kernel) / stride) + 1;
  const pixel = (b: number, c: number, row: number, column: number) =>
    row < 0 || row >= height || column < 0 || column >= width
      ? 0
      : x.data[((b * channels + c) * height + row) * width + column]!;
  const values: number[] = [];
  for (let b = 0; b < batch; b++) {
    for (let m = 0; m < outChannels; m++) {
      for (let row = 0; row < outHeight; row++) {
        for (let column = 0; column < outWidth; column++) {
          let sum = bias.data[m]!;
          for (let i = 0; i < channels * kernel * kernel; i++) {
            const c = Math.floor(i / kernel ** 2);
            const dy = Math.floor(i / kernel) % kernel - top;
            const dx = i % kernel - left;
            sum += weight.data[m * channels * kernel ** 2 + i]! *
              pixel(b, c, row * stride + dy, column * stride + dx);
          }
          values.push(sum);
        }
      }
    }
  }
  return f32([batch, outChannels, outHeight, outWidth], values);
}

Deno.test("Conv: the forms that U-Net and VAE use, on even and odd sizes", async () => {
  const forms: readonly (readonly [number, ConvOptions])[] = [
    [1, {}],
    [3, { pads: [1, 1, 1, 1] }],
    [3, { pads: [1, 1, 1, 1], stride: 2 }],
    [3, { pads: [0, 0, 1, 1], stride: 2 }], // the VAE's asymmetric one
  ];
  for (const [kernel, options] of forms) {
    const g = new GraphBuilder("conv");
    const x = g.input("x", "float32", ["B", 2, "H", "W"]);
    const weight = g.input("weight", "float32", [3, 2, kernel, kernel]);
    const bias = g.input("bias", "float32", [3]);
    g.output("y", Conv(g, x, weight, bias, options));
    const inputs = {
      x: randomTensor([2, 2, 6, 5], 1),
      weight: randomTensor([3, 2, kernel, kernel], 2),
      bias: randomTensor([3], 3),
    };
    const { y } = await runGraph(g.build(), inputs);
    const expected = convReference(inputs.x, inputs.weight, inputs.bias, options);
    assertClose(JSON.stringify(options), y as F32Tensor, expected, 1e-6);
  }
});

Deno.test("Conv refuses channels, biases, ranks and dtypes that do not fit", () => {
  const g = new GraphBuilder("conv");
  const x = g.input("x", "float32", ["B", 4, "H", "W"]);
  const weight = g.input("weight", "float32", [8, 4, 3, 3]);
  assert.throws(() => Conv(g, x, g.input("five", "float32", [8, 5, 3, 3]), undefined), {
    name: "ShapeError",
    message: "Conv of [B,4,H,W] needs weights of its channels: [8,5,3,3]",
  });
  assert.throws(() => Conv(g, x, g.input("matrix", "float32", [8, 4]), undefined), ShapeError);
  assert.throws(() => Conv(g, x, weight, g.input("bias", "float32", [4])), {
    name: "ShapeError",
    message: "Conv of 8 output channels has a bias of [4]",
  });
  const halves = g.input("halves", "float16", [8, 4, 3, 3]);
  assert.throws(() => Conv(g, x, halves, undefined), /Conv needs one dtype/);
  const tokens = g.input("tokens", "float32", ["B", 4, "L"]);
  assert.throws(() => Conv(g, tokens, weight, undefined), ShapeError);
});

Deno.test("ConvTranspose is the transpose of Conv: <Conv x, u> = <x, ConvTranspose u>", async () => {
  for (const stride of [1, 2]) {
    const [height, width] = [6, 8];
    const options = { stride, pads: [1, 1, 1, 1] as const };
    const g = new GraphBuilder("transpose");
    const x = g.input("x", "float32", ["B", 2, height, width]);
    const weight = g.input("weight", "float32", [3, 2, 3, 3]);
    const y = Conv(g, x, weight, undefined, options);
    const u = g.input("u", "float32", y.shape);
    g.output("y", y);
    const back = { ...options, outputPadding: stride - 1 };
    g.output("back", ConvTranspose(g, u, weight, [height, width], back));
    const inputs = {
      x: randomTensor([2, 2, height, width], 1),
      weight: randomTensor([3, 2, 3, 3], 2),
      u: randomTensor([2, 3, height / stride, width / stride], 3),
    };
    const outputs = await runGraph(g.build(), inputs) as Record<string, F32Tensor>;
    const inner = (a: F32Tensor, b: F32Tensor) =>
      a.data.reduce((sum, value, i) => sum + value * b.data[i]!, 0);
    const [left, right] = [inner(outputs.y!, inputs.u), inner(inputs.x, outputs.back!)];
    assert.ok(Math.abs(left - right) < 1e-4 && Math.abs(left) > 1, `${left} is not ${right}`);
  }
});

Deno.test("ConvTranspose refuses channels that do not fit", () => {
  const g = new GraphBuilder("refusals");
  const x = g.input("x", "float32", ["B", 2, 4, 4]);
  const weight = g.input("weight", "float32", [3, 2, 3, 3]);
  assert.throws(() => ConvTranspose(g, x, weight, [4, 4]), {
    name: "ShapeError",
    message: "ConvTranspose of [B,2,4,4] needs weights of its channels: [3,2,3,3]",
  });
});
