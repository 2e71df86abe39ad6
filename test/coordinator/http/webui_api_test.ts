import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readdir } from "node:fs/promises";
import type { JobRuntime } from "../../../coordinator/http/runtime/job_runtime.ts";
import type { ServedJob } from "../../../coordinator/http/store/served_job.ts";
import { decodePng, encodePng } from "../../../coordinator/image/png.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { PROMPT, zooPath } from "../../support/zoo.ts";
import { type Asked, Asker } from "./ask.ts";
import { openRuntime, zooTests } from "./served_zoo.ts";

const API = "/sdapi/v1";
const TXT2IMG = `POST ${API}/txt2img`;

/** A picture with something to see, and a mask that is white in its upper half. */
const SIDE = 64, HALF = SIDE * SIDE * 3 / 2;
const PICTURE = Uint8Array.from({ length: 2 * HALF }, (_, i) => (i * 7) % 256);
const UPPER = new Uint8Array(2 * HALF).fill(255, 0, HALF);
const asBase64 = (rgb: Uint8Array) =>
  Buffer.from(encodePng({ width: SIDE, height: SIDE, rgb, text: {} })).toString("base64");
const START = { init_images: [`data:image/png;base64,${asBase64(PICTURE)}`] };
const MASKED = { ...START, mask: asBase64(UPPER) };

function rgbOf(base64: string): Uint8Array {
  return decodePng(Buffer.from(base64, "base64")).rgb;
}

/** Resolves when a job is drawn, and has done so many steps. */
async function reached(runtime: JobRuntime, steps: number): Promise<void> {
  for (;;) {
    const live = runtime.unfinished.find(({ job, progress }) =>
      job.state === "running" && progress.stepsDone >= steps
    );
    if (live) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

zooTests("the webui's API", {
  "img2img: a picture, a mask, the same by the native API, and nothing of it is left": async (
    zoo,
  ) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const request = { prompt: PROMPT, steps: 4, seed: 7, denoising_strength: 0.5, mask_blur: 0 };
    const { status, body } = await asker.ask(`POST ${API}/img2img`, {
      body: { ...request, ...MASKED, inpainting_fill: 1, include_init_images: false },
    });
    assert.equal(status, 200, JSON.stringify(body));
    const drawn = rgbOf(body.images[0]);
    assert.deepEqual(drawn.subarray(HALF), PICTURE.subarray(HALF));
    assert.notDeepEqual(drawn.subarray(0, HALF), PICTURE.subarray(0, HALF));
    assert.equal(body.parameters.init_images, null);
    assert.match(JSON.parse(body.info).infotexts[0], /Denoising strength: 0\.5/);

    const { body: inverted } = await asker.ask(`POST ${API}/img2img`, {
      body: { ...request, ...MASKED, inpainting_mask_invert: 1 },
    });
    assert.deepEqual(rgbOf(inverted.images[0]).subarray(0, HALF), PICTURE.subarray(0, HALF));

    const { body: job } = await asker.ask("POST /api/v1/jobs", {
      body: {
        ...{ prompt: PROMPT, steps: 4, seed: 7, guidance: 7, sampler: "euler" },
        ...{ strength: 0.5, mask_blur: 0, init: START.init_images[0], mask: MASKED.mask },
      },
    });
    await runtime.live(job.id)?.ended;
    const { body: done } = await asker.ask(`GET /api/v1/jobs/${job.id}`);
    const own = await runtime.pictures.read(done.outputs[0].name);
    assert.deepEqual(decodePng(own!).rgb, drawn);
    const { body: refused } = await asker.ask("POST /api/v1/jobs", {
      body: { prompt: "a", mask: MASKED.mask },
    });
    assert.match(refused.error.message, /"mask" must be left out, or given with an init/);
    // Only pictures that were drawn are kept.
    const names = await readdir(runtime.pictures.path);
    assert.equal(names.filter((name) => /init|mask/.test(name)).length, 0, names.join());
  },

  "Open WebUI: options as they are read, a checkpoint chosen, a picture": async (zoo) => {
    await using folder = await tempFolder();
    const others = [{ ensemble: { ...zoo, name: "other" } }];
    await using runtime = await openRuntime(zoo, folder.path, { others });
    const asker = new Asker(runtime);
    // It sends the header even where it has no login, and any content type.
    const headers = { authorization: "", "content-type": "text/plain" };
    const { body: options } = await asker.ask(`GET ${API}/options`, { headers });
    const { body: models } = await asker.ask(`GET ${API}/sd-models`, { headers });
    assert.equal(options.sd_model_checkpoint, models[0].title);
    assert.match(models[1].title, /^other \[[0-9a-f]{10}\]$/);
    const changed = { ...options, sd_model_checkpoint: models[1].title };
    assert.equal((await asker.ask(`POST ${API}/options`, { body: changed, headers })).status, 200);
    const { body: now } = await asker.ask(`GET ${API}/options`, { headers });
    assert.equal(now.sd_model_checkpoint, models[1].title);
    // Whoever else calls has a choice of their own.
    const { body: theirs } = await asker.ask(`GET ${API}/options`, { peer: "10.0.0.2" });
    assert.equal(theirs.sd_model_checkpoint, models[0].title);
    const request = {
      prompt: PROMPT,
      negative_prompt: "blue",
      batch_size: 1,
      width: 64,
      height: 64,
      steps: 3,
    };
    const { status, body } = await asker.ask(TXT2IMG, { body: { ...request, seed: 7 }, headers });
    assert.equal(status, 200, JSON.stringify(body));
    const info = JSON.parse(body.info);
    assert.deepEqual([info.sd_model_name, info.seed, info.all_seeds], ["other", 7, [7]]);
    const { rgb, text } = decodePng(Buffer.from(body.images[0], "base64"));
    assert.equal(rgb.length, 64 * 64 * 3);
    assert.equal(text.parameters, info.infotexts[0]);
    assert.match(
      info.infotexts[0],
      /Negative prompt: blue\nSteps: 3, Sampler: Euler, CFG scale: 7, Seed: 7, Size: 64x64,/,
    );
    // LibreChat reads these.
    assert.deepEqual([info.width, info.height], [64, 64]);
    // The same by the native API.
    const { body: job } = await asker.ask("POST /api/v1/jobs", {
      body: {
        ...{ prompt: PROMPT, negative: "blue", ensemble: "other", steps: 3, seed: 7 },
        sampler: "euler",
        guidance: 7,
      },
    });
    const done = await runtime.live(job.id)!.ended;
    assert.deepEqual(decodePng((await runtime.pictures.read(done.outputs[0]!.name))!).rgb, rgb);
  },

  "SillyTavern: its questions before a picture, and its request": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const headers = { authorization: `Basic ${btoa("")}` };
    const get = async (name: string) => (await asker.ask(`GET ${API}/${name}`, { headers })).body;
    assert.equal((await get("options")).forge_preset, undefined);
    const [{ title }] = await get("sd-models");
    const body = { sd_model_checkpoint: title };
    assert.equal((await asker.ask(`POST ${API}/options`, { body, headers })).status, 200);
    const { progress, state } = await get("progress");
    assert.ok(progress === 0 && state.job_count === 0);
    for (const name of ["upscalers", "latent-upscale-modes", "sd-vae", "sd-modules", "loras"]) {
      assert.deepEqual(await get(name), [], name);
    }
    const samplers = await get("samplers"), schedulers = await get("schedulers");
    const names = (list: { name: string }[]) => list.map(({ name }) => name);
    for (const name of ["Euler a", "DPM++ 2M", "DDIM", "UniPC"]) {
      assert.ok(names(samplers).includes(name));
    }
    for (const name of ["automatic", "karras"]) assert.ok(names(schedulers).includes(name));
    const answer = await asker.ask(TXT2IMG, {
      headers,
      body: {
        ...{
          url: "http://127.0.0.1:7860",
          auth: "",
          prompt: PROMPT,
          negative_prompt: "",
          seed: -1,
        },
        ...{
          sampler_name: "DPM++ 2M",
          scheduler: "karras",
          steps: 3,
          cfg_scale: 5,
          width: 64,
          height: 64,
        },
        ...{
          restore_faces: false,
          enable_hr: false,
          hr_upscaler: "Latent",
          hr_scale: 2,
          clip_skip: 1,
        },
        ...{
          denoising_strength: 0.7,
          hr_second_pass_steps: 0,
          hr_additional_modules: [],
          save_images: true,
        },
        ...{ send_images: true, do_not_save_grid: false, do_not_save_samples: false },
        override_settings: {
          CLIP_stop_at_last_layers: 1,
          sd_vae: "Automatic",
          forge_additional_modules: [],
        },
        override_settings_restore_afterwards: true,
      },
    });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.match(JSON.parse(answer.body.info).infotexts[0], /Sampler: DPM\+\+ 2M Karras,/);
    assert.equal(answer.body.images.length, 1);
    const [{ spec }] = await runtime.list({ limit: 1 }) as [ServedJob];
    assert.deepEqual([spec.sampler, spec.guidance], ["dpmpp_2m_karras", 5]);
    // The same joined, as older clients write it.
    const { seed } = JSON.parse(answer.body.info);
    const joined = { sampler_name: "DPM++ 2M Karras", seed, steps: 3, cfg_scale: 5 };
    const { body: same } = await asker.ask(TXT2IMG, { body: { prompt: PROMPT, ...joined } });
    assert.deepEqual(rgbOf(same.images[0]), rgbOf(answer.body.images[0]));
  },

  "SwarmUI and stable-diffusion-client: fields that ask for nothing are taken": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const body = {
      ...{
        prompt: PROMPT,
        steps: 2,
        width: 64,
        height: 64,
        seed: 3,
        subseed: -1,
        subseed_strength: 0,
      },
      ...{
        script_name: null,
        script_args: [],
        s_tmax: 0,
        s_churn: 0,
        s_tmin: 0,
        s_noise: 1,
        eta: null,
      },
      ...{
        denoising_strength: 0.7,
        firstphase_width: 0,
        firstphase_height: 0,
        styles: [],
        tiling: false,
      },
      ...{
        seed_resize_from_w: -1,
        seed_resize_from_h: 0,
        alwayson_scripts: { ControlNet: { args: [] } },
      },
      ...{
        refiner_checkpoint: "None",
        sampler_index: "DDIM",
        n_iter: 2,
        batch_size: 2,
        unknown_key: 1,
      },
    };
    const answer = await asker.ask(TXT2IMG, { body });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    const info = JSON.parse(answer.body.info);
    assert.deepEqual(info.all_seeds, [3, 4, 5, 6]);
    assert.equal(info.sampler_name, "DDIM");
    assert.equal(answer.body.images.length, 4);
    assert.equal(answer.body.parameters.steps, 2);
    const none = await asker.ask(TXT2IMG, {
      body: { ...body, n_iter: 1, batch_size: 1, seed: 6, send_images: false },
    });
    assert.deepEqual(none.body.images, []);
    const again = await asker.ask(TXT2IMG, {
      body: { ...body, n_iter: 1, batch_size: 1, seed: 6 },
    });
    assert.deepEqual(rgbOf(again.body.images[0]), rgbOf(answer.body.images[3]));
  },

  "what Tutti does not have, and what is out of range, is refused in the webui's words": async (
    zoo,
  ) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const fields: Readonly<Record<string, readonly unknown[]>> = {
      enable_hr: [true],
      restore_faces: [true],
      tiling: [true],
      styles: [["anime"]],
      subseed_strength: [0.5, "x"],
      seed_resize_from_w: [64],
      s_min_uncond: [0.5],
      refiner_checkpoint: ["x"],
      script_name: ["X/Y/Z plot"],
      alwayson_scripts: [{ ControlNet: { args: [{ image: "x" }] } }, "x"],
      steps: [0, 1001, 1.5, "many"],
      cfg_scale: ["x"],
      width: [7, 100, 1e9, "64"],
      height: [0, 65],
      seed: [-2, 1.5, "abc"],
      batch_size: [0, 65],
      n_iter: [0, 101],
      eta: [2],
      s_churn: [-1],
      negative_prompt: [1, "<lora:x:1>", "[a|b]"],
      prompt: [["a"], "x".repeat(20_001), "a <lora:ink:0.8>", "a AND b", "[a:b:0.5]"],
      override_settings: ["x"],
      sd_vae: [{ override_settings: { sd_vae: "other.pt" } }],
      randn_source: [{ override_settings: { randn_source: "NV" } }],
      CLIP_stop_at_last_layers: [{ override_settings: { CLIP_stop_at_last_layers: 0 } }],
      tutti_method: [{ override_settings: { tutti_method: "magic" } }],
    };
    for (const [field, values] of Object.entries(fields)) {
      for (const value of values) {
        const isOverride = typeof value === "object" && value !== null &&
          "override_settings" in value;
        const body = { prompt: "a", ...(isOverride ? value : { [field]: value }) };
        const { status, body: said } = await asker.ask(TXT2IMG, { body });
        const what = `${field} ${JSON.stringify(value)?.slice(0, 60)}: ${
          JSON.stringify(said).slice(0, 300)
        }`;
        assert.equal(status, 422, what);
        assert.deepEqual(said.detail[0].loc, ["body", field], what);
        assert.equal(said.detail[0].type, "value_error", what);
      }
    }
    const others: readonly (readonly [string, unknown, number, RegExp])[] = [
      [TXT2IMG, { prompt: "a", sampler_name: "Eulr" }, 404, /^Sampler not found/],
      [TXT2IMG, { prompt: "a", scheduler: "karas" }, 404, /^Scheduler not found/],
      [TXT2IMG, { override_settings: { sd_model_checkpoint: "x" } }, 404, /^Model "x" not found/],
      [`POST ${API}/options`, { sd_model_checkpoint: "x" }, 404, /^Model "x" not found/],
      [`POST ${API}/png-info`, { image: "bm8gcG5n" }, 422, /^Invalid encoded image/],
      [TXT2IMG, "{", 422, /must be JSON/],
      [`GET ${API}/nothing`, undefined, 404, /nothing at/],
      [`PUT ${API}/options`, undefined, 405, /must be/],
    ];
    for (const [line, body, status, message] of others) {
      const answer = await asker.ask(line, { body });
      assert.equal(answer.status, status, `${line} ${JSON.stringify(answer.body)}`);
      assert.match(answer.body.detail, message);
      assert.deepEqual(Object.keys(answer.body), ["error", "detail", "body", "errors"]);
    }
    const ofPictures: readonly [body: object, message: RegExp][] = [
      [{}, /"init_images" must be a list of one picture/],
      [{ init_images: ["eA=="] }, /"init_images" must be a picture as base64/],
      [{ ...START, denoising_strength: 2 }, /"denoising_strength" must be/],
      [{ ...START, resize_mode: 1 }, /"resize_mode" must be 0/],
      [{ ...MASKED, inpainting_fill: 0 }, /"inpainting_fill" must be 1/],
    ];
    for (const [body, message] of ofPictures) {
      const answer = await asker.ask(`POST ${API}/img2img`, { body });
      assert.equal(answer.status, 422, JSON.stringify(answer.body));
      assert.match(answer.body.detail[0].msg, message);
    }
    assert.deepEqual(await runtime.list({ limit: 9 }), []);
    assert.equal(
      new Asker(runtime, "0123456789abcdef") &&
        (await new Asker(runtime, "0123456789abcdef").ask(`GET ${API}/options`)).status,
      401,
    );
  },

  "interrupt ends the caller's request with what there is, skip one iteration": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const draw = (other: object, peer?: string): Promise<Asked> =>
      asker.ask(TXT2IMG, {
        body: { ...{ prompt: PROMPT, width: 64, height: 64, steps: 900 }, ...other },
        ...(peer !== undefined && { peer }),
      });
    const first = draw({ n_iter: 3, seed: 1 });
    await reached(runtime, 2);
    const theirs = draw({ steps: 2, seed: 5 }, "10.0.0.2");
    const { body: progress } = await asker.ask(`GET ${API}/progress`);
    assert.equal(progress.state.job_count, 3);
    assert.equal(progress.state.sampling_steps, 900);
    assert.ok(progress.progress > 0.01 && progress.progress < 1 && progress.eta_relative > 0);
    // Somebody who draws nothing ends nothing.
    await asker.ask(`POST ${API}/interrupt`, { peer: "10.0.0.3" });
    const { body: idle } = await asker.ask(`GET ${API}/progress`, { peer: "10.0.0.3" });
    assert.deepEqual([idle.progress, idle.state.job_count], [0, 0]);
    assert.equal((await asker.ask(`POST ${API}/interrupt`)).status, 200);
    const { status, body } = await first;
    assert.equal(status, 200);
    // The others were not begun.
    assert.equal(body.images.length, 1);
    assert.deepEqual(JSON.parse(body.info).all_seeds, [1]);
    assert.ok(new Set(rgbOf(body.images[0])).size > 1);
    assert.equal((await theirs).body.images.length, 1);

    const second = draw({ n_iter: 2, seed: 1 });
    await reached(runtime, 1);
    const [skipped, next] = runtime.unfinished;
    await asker.ask(`POST ${API}/skip`);
    await skipped!.ended;
    await runtime.cancel(next!.job);
    assert.deepEqual((await second).body.images, []);
  },

  "png-info reads what pictures say": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const picture = await Deno.readFile(zooPath("green-heart-above-yellow-square.png"));
    const image = Buffer.from(picture).toString("base64");
    for (const text of [image, `data:image/png;base64,${image}`]) {
      const { body } = await asker.ask(`POST ${API}/png-info`, { body: { image: text } });
      assert.match(body.info, /^a green heart above a yellow square/);
      assert.equal(body.items.parameters, body.info);
      assert.equal(body.parameters["Size-1"], "64");
    }
    const plain = encodePng({ width: 1, height: 1, rgb: new Uint8Array(3), text: {} });
    const { body } = await asker.ask(`POST ${API}/png-info`, {
      body: { image: Buffer.from(plain).toString("base64") },
    });
    assert.deepEqual(body, { info: "", items: {}, parameters: {} });
  },

  "questions of other clients are answered, and nothing is needed for them": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const lists = ["memory", "cmd-flags", "scripts", "script-info", "embeddings", "hypernetworks"];
    for (const name of [...lists, "face-restorers", "prompt-styles"]) {
      assert.equal((await asker.ask(`GET ${API}/${name}`)).status, 200, name);
    }
    for (
      const name of ["refresh-checkpoints", "refresh-vae", "refresh-loras", "interrupt", "skip"]
    ) {
      assert.equal((await asker.ask(`POST ${API}/${name}`)).status, 200, name);
    }
  },
});
