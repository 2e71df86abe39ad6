import assert from "node:assert/strict";
import { startApiServer } from "../../../coordinator/http/server/api_server.ts";
import { decodePng } from "../../../coordinator/image/png.ts";
import { TokenGuard } from "../../../shared/security/token_guard.ts";
import { eventually } from "../../support/serve_expert.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { PROMPT } from "../../support/zoo.ts";
import { Asker } from "./ask.ts";
import { openRuntime, zooTests } from "./served_zoo.ts";

type Inputs = Record<string, unknown>;

/** ComfyUI's default graph, with other inputs of some nodes. */
function graph(changes: Readonly<Record<string, Inputs>> = {}) {
  const nodes: Record<string, { class_type: string; inputs: Inputs }> = {
    3: {
      class_type: "KSampler",
      inputs: {
        ...{ seed: 5, steps: 3, cfg: 5, sampler_name: "euler", scheduler: "normal", denoise: 1 },
        ...{ model: ["4", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] },
      },
    },
    4: { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "shapes" } },
    5: { class_type: "EmptyLatentImage", inputs: { width: 64, height: 64, batch_size: 1 } },
    6: { class_type: "CLIPTextEncode", inputs: { text: PROMPT, clip: ["4", 1] } },
    7: { class_type: "CLIPTextEncode", inputs: { text: "blue", clip: ["4", 1] } },
    8: { class_type: "VAEDecode", inputs: { samples: ["3", 0], vae: ["4", 2] } },
    9: { class_type: "SaveImage", inputs: { filename_prefix: "ComfyUI", images: ["8", 0] } },
  };
  for (const [id, inputs] of Object.entries(changes)) Object.assign(nodes[id]!.inputs, inputs);
  return nodes;
}

function settled(socket: WebSocket, event: "open" | "close"): Promise<unknown> {
  return new Promise((resolve) => socket.addEventListener(event, resolve));
}

zooTests("ComfyUI's API", {
  "Open WebUI: a socket, a graph, the end of it, history and picture": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const guard = new TokenGuard([]);
    await using server = await startApiServer({ host: "127.0.0.1", port: 0 }, runtime, { guard });
    const json = async (path: string, body?: unknown) => {
      const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
      return await (await fetch(server.url + path, init)).json();
    };
    const info = await json("/object_info");
    const [name] = info.CheckpointLoaderSimple.input.required.ckpt_name[0];
    const ended = Promise.withResolvers<void>();
    // deno-lint-ignore no-explicit-any -- as the API has them
    const heard: Record<string, any[]> = { me: [], other: [] };
    const previews: Record<string, Uint8Array[]> = { me: [], other: [] };
    const sockets = Object.entries(heard).map(([id, messages]) => {
      const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws?clientId=${id}`);
      socket.binaryType = "arraybuffer";
      socket.addEventListener("message", ({ data }) => {
        if (typeof data !== "string") return void previews[id]!.push(new Uint8Array(data));
        const message = JSON.parse(data);
        messages.push(message);
        if (message.type === "executing" && message.data.node === null) ended.resolve();
      });
      return socket;
    });
    await Promise.all(sockets.map((socket) => settled(socket, "open")));
    const prompt = graph({ 4: { ckpt_name: name } });
    const { prompt_id, node_errors } = await json("/prompt", { prompt, client_id: "me" });
    assert.deepEqual(node_errors, {});
    await ended.promise;
    const own = heard.me!.filter(({ data }) => data.prompt_id === prompt_id);
    assert.deepEqual(new Set(heard.other!.map(({ type }) => type)), new Set(["status"]));
    assert.deepEqual(
      own.map(({ type, data }) => `${type} ${data.node ?? ""}${data.value ?? ""}`.trim()),
      [
        ...["execution_start", "execution_cached", "executing 3", "progress 31", "progress 32"],
        ...["progress 33", "executing 8", "executing 9", "executed 9", "execution_success"],
        "executing",
      ],
    );
    assert.equal(heard.me![0].data.sid, "me");
    // Those of a step may come after the end.
    await eventually(() => previews.me!.length > 0);
    const [preview] = previews.me!;
    assert.deepEqual([...preview!.subarray(0, 8)], [0, 0, 0, 1, 0, 0, 0, 2]);
    assert.equal(decodePng(preview!.subarray(8)).width, 64);
    assert.deepEqual(previews.other, []);
    const { [prompt_id]: entry } = await json(`/api/history/${prompt_id}`);
    assert.deepEqual([entry.status.status_str, entry.status.completed], ["success", true]);
    const [{ filename, subfolder, type }] = entry.outputs[9].images;
    const query = new URLSearchParams({ filename, subfolder, type });
    const picture = await fetch(`${server.url}/view?${query}`);
    const { text } = decodePng(new Uint8Array(await picture.arrayBuffer()));
    assert.match(
      text.parameters!,
      /Negative prompt: blue\nSteps: 3, Sampler: Euler, CFG scale: 5, Seed: 5, Size: 64x64/,
    );
    assert.deepEqual(entry.prompt[2], prompt);
    const closed = sockets.map((socket) => settled(socket, "close"));
    sockets.forEach((socket) => socket.close());
    await Promise.all(closed);
    // The native API knows it, too.
    const { client, outputs } = await json(`/api/v1/jobs/${prompt_id}`);
    assert.deepEqual([client, outputs[0].name], ["address:127.0.0.1/me", filename]);
  },

  "SillyTavern: what it asks before, the whole history, an interrupt": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    for (const path of ["/system_stats", "/api/system_stats", "/object_info"]) {
      assert.equal((await asker.ask(`GET ${path}`)).status, 200, path);
    }
    const { body: info } = await asker.ask("GET /object_info");
    const required = (node: string) => info[node].input.required;
    assert.ok(required("KSampler").sampler_name[0].includes("euler_ancestral"));
    assert.ok(required("KSampler").scheduler[0].includes("karras"));
    assert.deepEqual([required("UNETLoader").unet_name[0], required("VAELoader").vae_name[0]], [
      [],
      [],
    ]);
    const give = async (changes: Parameters<typeof graph>[0]) =>
      (await asker.ask("POST /prompt", { body: { prompt: graph(changes) } })).body.prompt_id;
    // Digits beyond those of a number are not lost.
    const request = JSON.stringify({ prompt: graph({ 3: { seed: 0, steps: 900 } }) })
      .replace('"seed":0', '"seed":18446744073709551615');
    const { body: { prompt_id: first } } = await asker.ask("POST /prompt", { body: request });
    const [second, third] = [await give({}), await give({})];
    assert.deepEqual(runtime.live(first)!.job.spec.seeds, [2n ** 64n - 1n]);
    await asker.ask("POST /queue", { body: { delete: [third] } });
    const { body: queue } = await asker.ask("GET /queue");
    const ids = (list: unknown[][]) => list.map(([, id]) => id);
    assert.deepEqual(ids([...queue.queue_running, ...queue.queue_pending]), [first, second]);
    assert.equal((await asker.ask("GET /prompt")).body.exec_info.queue_remaining, 2);
    const drawn = runtime.live(first)!;
    while (drawn.job.state === "queued") await new Promise((resolve) => setTimeout(resolve, 1));
    assert.equal((await asker.ask("POST /interrupt")).status, 200);
    assert.equal((await drawn.ended).state, "canceled");
    await runtime.live(second)?.ended;
    const { body: history } = await asker.ask("GET /history");
    assert.deepEqual(
      // deno-lint-ignore no-explicit-any -- as the API has them
      Object.entries<any>(history).map(([id, { status }]) => [id, status.status_str]),
      [[first, "error"], [second, "success"], [third, "error"]],
    );
    await asker.ask("POST /history", { body: { clear: true } });
    assert.deepEqual((await asker.ask("GET /history")).body, {});
    assert.equal((await asker.ask(`GET /view?filename=${second}.png`)).status, 404);
    assert.equal((await asker.ask("GET /view?filename=../jobs.sqlite")).status, 404);
  },

  "a graph is drawn as the same settings elsewhere": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const prompt = { ...graph({ 6: { clip: ["10", 0] }, 7: { clip: ["10", 0] } }) };
    Object.assign(prompt, {
      10: { class_type: "CLIPSetLastLayer", inputs: { stop_at_clip_layer: -2, clip: ["4", 1] } },
      11: { class_type: "PreviewImage", inputs: { images: ["8", 0] } },
      // Leads nowhere.
      12: { class_type: "LoraLoader", inputs: {} },
    });
    const { body: given } = await asker.ask("POST /api/prompt", { body: { prompt } });
    const job = await runtime.live(given.prompt_id)!.ended;
    const { body: history } = await asker.ask(`GET /history/${job.id}`);
    assert.deepEqual(Object.keys(history[job.id].outputs), ["9", "11"]);
    const { body: same } = await asker.ask("POST /api/v1/jobs", {
      body: {
        ...{ prompt: PROMPT, negative: "blue", seed: 5, steps: 3, guidance: 5, clip_skip: 2 },
        ...{ sampler: "euler", schedule: "normal", size: 64 },
      },
    });
    const other = await runtime.live(same.id)!.ended;
    assert.equal(job.outputs[0]!.sha256, other.outputs[0]!.sha256);
  },

  "graphs that Tutti cannot draw are refused at the node that is wrong": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const wrong: readonly (readonly [string, string, unknown, string])[] = [
      ["3", "sampler_name", "ddim", "value_not_in_list"],
      ["3", "scheduler", "karas", "invalid_input_type"],
      ["3", "scheduler", "trailing", "value_not_in_list"],
      ["3", "steps", 0, "invalid_input_type"],
      ["3", "seed", -1.5, "invalid_input_type"],
      ["3", "cfg", "x", "invalid_input_type"],
      ["3", "denoise", 0.5, "value_smaller_than_min"],
      ["3", "model", ["8", 0], "return_type_mismatch"],
      ["3", "model", ["99", 0], "bad_linked_input"],
      ["3", "model", ["4", 1], "return_type_mismatch"],
      ["3", "latent_image", undefined, "required_input_missing"],
      ["4", "ckpt_name", "flux.safetensors", "value_not_in_list"],
      ["5", "width", 65, "invalid_input_type"],
      ["5", "batch_size", 0, "invalid_input_type"],
      ["6", "text", 7, "invalid_input_type"],
      ["7", "text", "x".repeat(20_001), "invalid_input_type"],
      ["8", "samples", ["5", 0], "return_type_mismatch"],
      ["9", "images", ["9", 0], "return_type_mismatch"],
    ];
    for (const [node, input, value, type] of wrong) {
      const body = { prompt: graph({ [node]: { [input]: value } }) };
      const { status, body: said } = await asker.ask("POST /prompt", { body });
      const what = `${node} ${input} ${JSON.stringify(said)}`;
      assert.equal(status, 400, what);
      assert.equal(said.error.type, "prompt_outputs_failed_validation", what);
      const [error] = said.node_errors[node].errors;
      assert.deepEqual([error.type, error.extra_info.input_name], [type, input], what);
    }
    const { 9: _, ...unfinished } = graph();
    const wholes: readonly (readonly [unknown, string])[] = [
      [undefined, "no_prompt"],
      [[], "no_prompt"],
      [{}, "prompt_no_outputs"],
      [unfinished, "prompt_no_outputs"],
      [{ 1: { inputs: {} } }, "invalid_prompt"],
      [Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [i, {}])), "invalid_prompt"],
    ];
    for (const [prompt, type] of wholes) {
      const { status, body } = await asker.ask("POST /prompt", { body: { prompt } });
      assert.deepEqual([status, body.error.type, body.node_errors], [400, type, {}]);
    }
    assert.equal((await asker.ask("POST /upload/image", { body: "x" })).status, 501);
    assert.equal((await asker.ask("GET /ws")).status, 426);
    assert.deepEqual(await runtime.list({ limit: 9 }), []);
  },
});
