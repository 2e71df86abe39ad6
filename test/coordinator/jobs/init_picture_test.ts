import assert from "node:assert/strict";
import {
  fitPicture,
  type InitPicture,
  pasteUnmasked,
  readInitPicture,
} from "../../../coordinator/jobs/init_picture.ts";
import { newJob } from "../../../coordinator/jobs/job_spec.ts";
import { type JobRun, runJob } from "../../../coordinator/jobs/run_job.ts";
import type { StepCheckpoint } from "../../../coordinator/jobs/step_checkpoint.ts";
import type { Ensemble } from "../../../coordinator/ensemble/ensemble.ts";
import { gaussianBlur } from "../../../coordinator/image/gaussian_blur.ts";
import { imageAt, imageToRgb } from "../../../coordinator/image/pixels.ts";
import type { RgbImage } from "../../../coordinator/image/resize.ts";
import { firstStep } from "../../../coordinator/sampling/start_picture.ts";
import { SAMPLERS } from "../../../coordinator/sampling/samplers/samplers.ts";
import type { GivenSettings } from "../../../coordinator/settings/settings.ts";
import { difference } from "../../../shared/tensor/compare.ts";
import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { PROMPT } from "../../support/zoo.ts";
import { zooTests } from "../http/served_zoo.ts";

const SIDE = 64;

/** A picture with something to see: a gradient, with stripes. */
const IMAGE: RgbImage = {
  ...{ width: SIDE, height: SIDE },
  rgb: Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => (i * 7 + (i >> 6) * 3) % 256),
};

/** White in the upper half, or everywhere. */
const maskOf = (isWhite: (y: number) => boolean): RgbImage => ({
  ...IMAGE,
  rgb: Uint8Array.from(
    { length: IMAGE.rgb.length },
    (_, i) => isWhite(Math.floor(i / (3 * SIDE))) ? 255 : 0,
  ),
});

function draw(
  ensemble: Ensemble,
  settings: Partial<GivenSettings>,
  init?: InitPicture,
  run: Partial<JobRun> = {},
) {
  const spec = newJob({ prompt: PROMPT, seeds: [3n, 4n], ensemble: "shapes" }, {
    ...{ steps: 4, guidance: 1, sampler: "ddim" },
    ...settings,
  });
  return runJob({ ensemble, spec, init, warn: () => {}, ...run });
}

zooTests("a start picture", {
  "with strength 1 is text to image, with 0 the VAE's round trip": async (ensemble) => {
    const textToImage = await draw(ensemble, {});
    const all = await draw(ensemble, { strength: 1 }, { image: IMAGE });
    assert.deepEqual(all.latents, textToImage.latents);
    const none = await draw(ensemble, { strength: 0 }, { image: IMAGE });
    const pixels = f32([1, 3, SIDE, SIDE]);
    for (let i = 0; i < SIDE * SIDE; i++) {
      for (let c = 0; c < 3; c++) {
        pixels.data[c * SIDE * SIDE + i] = IMAGE.rgb[3 * i + c]! / 127.5 - 1;
      }
    }
    const { mean } = await ensemble.vae.encode(pixels);
    const round = await ensemble.vae.decode(lincomb([[ensemble.vae.config.scalingFactor, mean]]));
    assert.ok(difference(imageAt(none.images, 0).data, round.data).relativeL2 < 1e-6);
    assert.deepEqual(imageAt(none.images, 1), imageAt(none.images, 0));
  },

  "with a mask of white is img2img, and with one of black and white keeps what is black to the byte":
    async (ensemble) => {
      const settings = { strength: 0.75, maskBlur: 0 };
      const whole = await draw(ensemble, settings, { image: IMAGE });
      const white = await draw(ensemble, settings, { image: IMAGE, mask: maskOf(() => true) });
      assert.deepEqual(white.images, whole.images);
      const upper = maskOf((y) => y < SIDE / 2);
      const half = await draw(ensemble, settings, { image: IMAGE, mask: upper });
      const rgb = imageToRgb(imageAt(half.images, 0));
      const middle = rgb.length / 2;
      assert.deepEqual(rgb.subarray(middle), IMAGE.rgb.subarray(middle));
      assert.notDeepEqual(rgb.subarray(0, middle), IMAGE.rgb.subarray(0, middle));
    },

  "goes on after a checkpoint to the same bits, and not with another picture": async (ensemble) => {
    const init = { image: IMAGE, mask: maskOf((y) => y < SIDE / 2) };
    const settings = { sampler: "euler_a", strength: 0.75 } as const;
    const kept: StepCheckpoint[] = [];
    const counts: number[] = [];
    const whole = await draw(ensemble, settings, init, {
      checkpoints: { save: (step) => Promise.resolve(void kept.push(step)) },
      onStep: (stepsDone) => void counts.push(stepsDone),
    });
    // One of four steps is not run.
    assert.deepEqual(counts, [1, 2, 3, 4]);
    const again = await draw(ensemble, settings, init, { from: kept[1]! });
    assert.deepEqual(again.latents, whole.latents);
    const other = { image: { ...IMAGE, rgb: IMAGE.rgb.toReversed() } };
    await assert.rejects(draw(ensemble, settings, other, { from: kept[1]! }), {
      code: "FAILED_PRECONDITION",
    });
  },

  "is drawn from by every sampler, and little strength leaves it much as it is": async (
    ensemble,
  ) => {
    const good = { sampler: "dpmpp_2m_karras", steps: 12 };
    const rgb = imageToRgb(imageAt((await draw(ensemble, good)).images, 0));
    const init = { image: { ...IMAGE, rgb } };
    const still = await draw(ensemble, { strength: 0 }, init);
    for (const { name } of SAMPLERS) {
      const { latents } = await draw(ensemble, { sampler: name, steps: 12, strength: 0.25 }, init);
      const far = difference(latents.data, still.latents.data).relativeL2;
      assert.ok(far > 0 && far < 1, `${name}: ${far}`);
    }
  },
});

Deno.test("firstStep() runs floor(n strength) steps, as diffusers does", () => {
  const steps = [[50, 0.6, 20], [10, 0.7, 3], [4, 0.74, 2], [20, 0, 20], [20, 1, 0], [3, 0.3, 3]];
  for (const [count, strength, first] of steps) {
    assert.equal(firstStep(count!, strength!), first, `${count} ${strength}`);
  }
});

Deno.test("gaussianBlur() keeps what is even, and goes from black to white around an edge", () => {
  const size = { width: 20, height: 10 };
  const even = new Float32Array(200).fill(0.25);
  gaussianBlur(even, size, 3).forEach((value) => assert.ok(Math.abs(value - 0.25) < 1e-6));
  const edge = Float32Array.from({ length: 200 }, (_, i) => i % 20 < 10 ? 0 : 1);
  const row = gaussianBlur(edge, size, 1).subarray(0, 20);
  assert.deepEqual([row[0], row[19]], [0, 1]);
  assert.ok(Math.abs(row[9]! + row[10]! - 1) < 1e-6 && row[9]! > 0.2 && row[9]! < 0.5);
  assert.equal(gaussianBlur(edge, size, 0), edge);
});

Deno.test("pasteUnmasked() gives every byte of the picture back", () => {
  const image = {
    ...{ width: 16, height: 16 },
    rgb: Uint8Array.from({ length: 768 }, (_, i) => i % 256),
  };
  const fitted = { image, mask: new Float32Array(256), sha256: "" };
  const drawn = f32([1, 3, 16, 16], new Array(768).fill(0.5));
  assert.deepEqual(imageToRgb(imageAt(pasteUnmasked(drawn, fitted), 0)), image.rgb);
});

Deno.test("a picture that is none, and strength without a picture, are refused", async () => {
  await using folder = await tempFolder();
  const path = folder.join("none.png");
  await Deno.writeTextFile(path, "<html>");
  await assert.rejects(
    readInitPicture(path),
    /Cannot read --init ".*none\.png": Image must be PNG/,
  );
  const size = { width: 64, height: 64 };
  assert.equal(fitPicture(undefined, {}, size), undefined);
  assert.throws(() => fitPicture(undefined, { strength: 0.5 }, size), /--strength needs a picture/);
  assert.throws(() => fitPicture(undefined, { maskBlur: 0 }, size), /--mask-blur needs a picture/);
});
