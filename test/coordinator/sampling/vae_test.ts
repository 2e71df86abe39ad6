import assert from "node:assert/strict";
import { Vae } from "../../../coordinator/sampling/vae.ts";
import { openVae } from "../../../shared/checkpoint/vae_checkpoint.ts";
import { difference } from "../../../shared/tensor/compare.ts";
import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { assertClose, Golden, goldenPath } from "../../support/goldens.ts";

const open = async () =>
  new Vae(await openVae(goldenPath("sd15", "vae")), { device: "cpu", threads: 1 });

Deno.test("Vae decodes and encodes as the reference does", async () => {
  await using vae = await open();
  const golden = await Golden.read("sd15", "expected", "vae.safetensors");
  assert.equal(vae.factor, 8);
  assertClose("decoded", await vae.decode(golden.f32("latents")), golden.f32("decoded"));
  const { mean, logvar } = await vae.encode(golden.f32("image"));
  assertClose("mean", mean, golden.f32("mean"));
  assertClose("logvar", logvar, golden.f32("logvar"));
});

Deno.test("Vae divides latents by the config's scaling factor before it decodes", async () => {
  const part = await openVae(goldenPath("sd15", "vae"));
  const golden = await Golden.read("sd15", "expected", "vae.safetensors");
  const config = { ...part.config, scalingFactor: 2 * part.config.scalingFactor };
  await using vae = new Vae({ ...part, config }, { device: "cpu", threads: 1 });
  const latents = golden.f32("latents");
  const plain = await vae.decode(latents);
  assert.ok(difference(plain.data, golden.f32("decoded").data).relativeL2 > 1e-2);
  assertClose("decoded", await vae.decode(lincomb([[2, latents]])), golden.f32("decoded"));
});

Deno.test("Vae refuses tensors of other channels and images that are no multiple of 8, and goes on", async () => {
  await using vae = await open();
  await assert.rejects(vae.decode(f32([1, 3, 2, 2])), {
    name: "ShapeError",
    message: "latents must be float32 [1, 4, 2, 2]: current value is float32 [1, 3, 2, 2]",
  });
  await assert.rejects(vae.decode(f32([4, 2, 2])), { name: "ShapeError" });
  await assert.rejects(vae.encode(f32([1, 4, 16, 16])), { name: "ShapeError" });
  for (
    const [height, width, axis, size] of [[20, 16, "height", 20], [16, 0, "width", 0]] as const
  ) {
    await assert.rejects(vae.encode(f32([1, 3, height, width])), {
      name: "ShapeError",
      message: `image ${axis} must be a multiple of 8: current value is ${size}`,
    });
  }
  assert.deepEqual((await vae.encode(f32([1, 3, 16, 24]))).mean.shape, [1, 4, 2, 3]);
});

Deno.test("Vae: NaN in latents is DATA_LOSS, not a black image", async () => {
  await using vae = await open();
  const latents = f32([1, 4, 2, 2], new Array(16).fill(NaN));
  await assert.rejects(vae.decode(latents), {
    code: "DATA_LOSS",
    message: /^Image of the VAE must be finite/,
  });
});

Deno.test("Vae refuses weights that do not fit its config", async () => {
  const part = await openVae(goldenPath("sd15", "vae"));
  const config = { ...part.config, layersPerBlock: 1 };
  assert.throws(() => new Vae({ ...part, config }, { device: "cpu", threads: 1 }), {
    name: "FormatError",
    message: /^VAE does not fit its config: \d+ unused \(/,
  });
});
