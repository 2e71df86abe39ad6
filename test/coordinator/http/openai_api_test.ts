import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import sharp from "sharp";
import { decodePng, encodePng } from "../../../coordinator/image/png.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { PROMPT } from "../../support/zoo.ts";
import { Asker } from "./ask.ts";
import { type Event, eventsOf } from "./read_events.ts";
import { openRuntime, zooTests } from "./served_zoo.ts";

const GENERATE = "POST /v1/images/generations", EDIT = "POST /v1/images/edits";

/** A picture with something to see. */
const SIDE = 64, HALF = SIDE * SIDE * 3 / 2;
const PICTURE = Uint8Array.from({ length: 2 * HALF }, (_, i) => (i * 7) % 256);
const START = encodePng({ width: SIDE, height: SIDE, rgb: PICTURE, text: {} });

/** Transparent in its upper half, as what pictures have there is to be drawn anew. */
async function upperMask(): Promise<Uint8Array<ArrayBuffer>> {
  const rgba = Uint8Array.from(
    { length: SIDE * SIDE * 4 },
    (_, i) => i % 4 < 3 ? 77 : i < SIDE * SIDE * 2 ? 0 : 255,
  );
  const mask = sharp(rgba, { raw: { width: SIDE, height: SIDE, channels: 4 } });
  return new Uint8Array(await mask.png().toBuffer());
}

type Field = string | Uint8Array<ArrayBufferLike>;

function form(fields: Readonly<Record<string, Field | readonly Field[]>>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (typeof each === "string") form.append(name, each);
      else form.append(name, new Blob([each]), `${name}.png`);
    }
  }
  return form;
}

zooTests("OpenAI's API", {
  "Open WebUI and InvokeAI: pictures as base64 and as addresses": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const request = { model: "gpt-image-1", prompt: PROMPT, n: 2, size: "64x64" };
    const settings = {
      seed: 7,
      num_inference_steps: 3,
      guidance_scale: 5,
      negative_prompt: "blue",
    };
    const { status, body } = await asker.ask(GENERATE, {
      body: { ...request, ...settings, output_format: "png", quality: "auto", user: "me" },
    });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual([body.data.length, body.size, body.output_format], [2, "64x64", "png"]);
    const { text } = decodePng(Buffer.from(body.data[0].b64_json, "base64"));
    assert.match(text.parameters!, /Negative prompt: blue\nSteps: 3, .*CFG scale: 5, Seed: 7,/);
    const { body: links } = await asker.ask(GENERATE, {
      body: { ...request, ...settings, model: zoo.name, n: 1, response_format: "url" },
    });
    const [{ url }] = links.data;
    const picture = await asker.response(`GET ${url}`);
    assert.equal(
      Buffer.from(await picture.arrayBuffer()).toString("base64"),
      body.data[0].b64_json,
    );
    const jobs = await runtime.list({ limit: 9 });
    assert.deepEqual(jobs.map(({ client }) => client), [
      "address:127.0.0.1",
      "address:127.0.0.1/me",
    ]);
    const { body: models } = await asker.ask("GET /v1/models");
    const model = { id: zoo.name, object: "model", created: 0, owned_by: "tutti" };
    assert.deepEqual(models, { object: "list", data: [model] });
    assert.deepEqual((await asker.ask(`GET /v1/models/${zoo.name}`)).body, model);
  },

  "openai npm: pictures on the way as events, then the picture": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const body = {
      prompt: PROMPT,
      seed: 1,
      num_inference_steps: 9,
      stream: true,
      partial_images: 2,
    };
    const events = await Array.fromAsync(eventsOf(await asker.response(GENERATE, { body })));
    const names = events.map(({ event }) => event.replace("image_generation.", ""));
    assert.deepEqual(names.at(-1), "completed");
    assert.ok(names.length >= 2 && names.length <= 3, names.join());
    const [first] = events;
    const last = events.at(-1)!;
    for (const { event, data } of events) {
      assert.equal(data.type, event);
      assert.equal(decodePng(Buffer.from(data.b64_json, "base64")).width, 64);
    }
    assert.equal(first!.data.partial_image_index, 0);
    assert.notEqual(first!.data.b64_json, last.data.b64_json);
    assert.equal(last.data.usage.total_tokens, 0);
    const [job] = await runtime.list({ limit: 1 });
    const stored = await runtime.pictures.read(job!.outputs[0]!.name);
    assert.equal(Buffer.from(stored!).toString("base64"), last.data.b64_json);
  },

  "a stream whose client goes away draws no further, and one that is cancelled says so": async (
    zoo,
  ) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const body = { prompt: PROMPT, num_inference_steps: 900, stream: true };
    const response = await asker.response(GENERATE, { body });
    const [gone] = runtime.unfinished;
    await response.body!.cancel();
    assert.equal((await gone!.ended).state, "canceled");
    const other = await asker.response(GENERATE, { body });
    const [live] = runtime.unfinished;
    const events: Promise<Event[]> = Array.fromAsync(eventsOf(other));
    await runtime.cancel(live!.job);
    const [event] = await events;
    assert.equal(event!.event, "error");
    assert.match(event!.data.error.message, /its state is canceled/);
  },

  "InvokeAI and openai npm: edits start from a picture, and draw what a mask leaves open": async (
    zoo,
  ) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const settings = { prompt: PROMPT, seed: "7", num_inference_steps: "4", strength: "0.5" };
    const { status, body } = await asker.ask(EDIT, {
      body: form({ ...settings, n: "2", "image[]": START, size: "auto", user: "me" }),
    });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual([body.data.length, body.size], [2, "64x64"]);
    const whole = Buffer.from(body.data[0].b64_json, "base64");
    assert.match(decodePng(whole).text.parameters!, /Denoising strength: 0\.5/);
    const native = await asker.ask("POST /api/v1/jobs", {
      body: {
        ...{ prompt: PROMPT, seed: 7, steps: 4, strength: 0.5, batch: 2 },
        init: Buffer.from(START).toString("base64"),
      },
    });
    await runtime.live(native.body.id)?.ended;
    const { body: job } = await asker.ask(`GET /api/v1/jobs/${native.body.id}`);
    const own = await runtime.pictures.read(job.outputs[0].name);
    assert.deepEqual(decodePng(own!).rgb, decodePng(whole).rgb);

    const masked = form({ ...settings, image: START, mask: await upperMask(), stream: "true" });
    const events = await Array.fromAsync(eventsOf(await asker.response(EDIT, { body: masked })));
    assert.deepEqual(events.map(({ event }) => event), ["image_edit.completed"]);
    const { rgb } = decodePng(Buffer.from(events[0]!.data.b64_json, "base64"));
    // The mask is blurred, by 4 pixels.
    const below = HALF + SIDE * 3 * 16;
    assert.deepEqual(rgb.subarray(below), PICTURE.subarray(below));
    assert.notDeepEqual(rgb.subarray(0, HALF), PICTURE.subarray(0, HALF));
  },

  "an edit without a picture, or with a mask that says nothing, is refused": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const cut = START.subarray(0, 60);
    const whole = { image: START, prompt: "a" };
    const wrong: readonly (readonly [string, RegExp, Parameters<typeof form>[0]])[] = [
      ["image", /one picture as a file: there are 0/, { prompt: "a" }],
      ["image", /there are 2/, { prompt: "a", "image[]": [START, START] }],
      ["image", /it is of no kind that is known/, { ...whole, image: new Uint8Array(9) }],
      ["image", /PNG/, { ...whole, image: cut }],
      ["mask", /has no alpha channel/, { ...whole, mask: START }],
      ["mask", /cannot be read/, { ...whole, mask: (await upperMask()).subarray(0, 60) }],
      ["mask", /a picture as a file/, { ...whole, mask: "no file" }],
      ["prompt", /absent/, { image: START }],
      ["prompt", /it is a file/, { image: START, prompt: START }],
      ["n", /1\.\.10: current value is "two"/, { ...whole, n: "two" }],
      ["strength", /current value is 1\.5/, { ...whole, strength: "1.5" }],
    ];
    for (const [param, message, fields] of wrong) {
      const { status, body } = await asker.ask(EDIT, { body: form(fields) });
      assert.equal(status, 400, JSON.stringify(body));
      assert.match(body.error.message, message);
      assert.equal(body.error.param, param, body.error.message);
    }
    assert.deepEqual(await runtime.list({ limit: 9 }), []);
  },

  "what cannot be drawn is refused in OpenAI's words": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const wrong: Readonly<Record<string, readonly unknown[]>> = {
      prompt: [undefined, 7, "x".repeat(20_001)],
      n: [0, 11, 1.5, "2"],
      size: ["100x64", "large", 64, "999999x64"],
      response_format: ["jpg"],
      output_format: ["webp", "jpeg"],
      background: ["transparent"],
      stream: ["yes"],
      partial_images: [4, -1],
      seed: [-2, "x"],
      num_inference_steps: [0, 1001],
      guidance_scale: ["x"],
      true_cfg_scale: ["x"],
      negative_prompt: [7],
      strength: [0.5],
      model: [7],
    };
    for (const [param, values] of Object.entries(wrong)) {
      for (const value of values) {
        const { status, body } = await asker.ask(GENERATE, {
          body: { prompt: "a", [param]: value },
        });
        const what = `${param} ${JSON.stringify(value)?.slice(0, 40)}: ${JSON.stringify(body)}`;
        assert.equal(status, 400, what);
        assert.equal(body.error.param, param, what);
        assert.equal(body.error.type, "invalid_request_error", what);
      }
    }
    const both = await asker.ask(GENERATE, {
      body: { prompt: "a", guidance_scale: 5, true_cfg_scale: 4 },
    });
    assert.deepEqual([both.status, both.body.error.param], [400, "true_cfg_scale"]);
    const others: readonly (readonly [string, unknown, number, string | null])[] = [
      [GENERATE, { prompt: "a", model: "flux" }, 404, "model_not_found"],
      ["GET /v1/models/flux", undefined, 404, "model_not_found"],
      ["POST /v1/images/variations", "a form", 400, "unsupported"],
      [EDIT, "no form", 400, null],
      [GENERATE, "{", 400, null],
    ];
    for (const [line, body, status, code] of others) {
      const answer = await asker.ask(line, { body });
      assert.deepEqual([answer.status, answer.body.error.code], [status, code], line);
    }
    const guarded = new Asker(runtime, "0123456789abcdef");
    const { status, body } = await guarded.ask(GENERATE, { body: { prompt: "a" } });
    assert.deepEqual([status, body.error.code], [401, "invalid_api_key"]);
    assert.deepEqual(await runtime.list({ limit: 9 }), []);
  },

  "a full queue says when to come again": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path, { queueLimit: 1 });
    const asker = new Asker(runtime);
    const body = { prompt: "a", steps: 900 };
    for (let i = 0; i < 2; i++) await asker.ask("POST /api/v1/jobs", { body });
    const { status, headers, body: said } = await asker.ask(GENERATE, { body: { prompt: "a" } });
    assert.deepEqual([status, headers.get("retry-after")], [429, "5"]);
    assert.deepEqual([said.error.type, said.error.code], ["requests", "rate_limit_exceeded"]);
  },
});
