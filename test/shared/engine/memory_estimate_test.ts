import assert from "node:assert/strict";
import { openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { checkMemory, computeBytes } from "../../../shared/engine/memory_estimate.ts";
import { goldenPath } from "../../support/goldens.ts";

Deno.test("computeBytes() counts every element as f32, whatever the file holds", async () => {
  const { unet } = await openCheckpoint(goldenPath("sd15", "expert-a"));
  const { size } = await Deno.stat(
    goldenPath("sd15", "expert-a", "unet", "diffusion_pytorch_model.safetensors"),
  );
  const bytes = computeBytes([unet.weights]);
  // The file is f32: its size is the weights and a header of less than 100 kB.
  assert.ok(bytes < size && size - bytes < 100_000, `${bytes} of ${size}`);
  const halves = new Map(
    [...unet.weights].map(([key, w]) => [key, { ...w, dtype: "float16" as const }]),
  );
  assert.equal(computeBytes([halves]), bytes);
});

Deno.test("checkMemory() refuses a model that does not fit, with the numbers", () => {
  checkMemory("m", 100, 2, 200);
  assert.throws(() => checkMemory("m", 4e9, 2, 7e9), {
    code: "RESOURCE_EXHAUSTED",
    message: /"m" needs about 8\.0 GB .*2 lanes of 4\.0 GB each.*7\.0 GB are available/,
  });
});
