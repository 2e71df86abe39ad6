/** ComfyUI's API, as far as its default graph of text to picture goes: each route at its own path and under `/api`. @module */

import { TuttiError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import { TUTTI_VERSION } from "../../../shared/wire/version.ts";
import type { JobRuntime } from "../runtime/job_runtime.ts";
import { named } from "../server/access.ts";
import { httpError } from "../server/http_error.ts";
import { type JsonObject, readJsonObject } from "../server/request_body.ts";
import { jsonResponse, pngResponse } from "../server/responses.ts";
import type { Call, Dialect, Route } from "../server/route.ts";
import { isEnded, type ServedJob } from "../store/served_job.ts";
import { comfyRefusal } from "./comfy_error.ts";
import { type ComfyAsked, DIALECT, historyJson, queueJson, unfinishedOf } from "./comfy_jobs.ts";
import { objectInfo } from "./comfy_nodes.ts";
import { ComfySockets } from "./comfy_sockets.ts";
import { readGraph } from "./read_graph.ts";

/** Of `/history`, at most. */
const MAX_HISTORY = 200;

export function comfyApi(runtime: JobRuntime): Dialect {
  const sockets = new ComfySockets(runtime);
  const { ensembles } = runtime;
  const routes: readonly Route[] = [
    get("/system_stats", () => jsonResponse(systemStats())),
    get("/object_info", () => jsonResponse(objectInfo(ensembles))),
    get("/object_info/:node", ({ params }) => {
      const node = params.node!;
      const { [node]: info } = objectInfo(ensembles);
      return jsonResponse(info === undefined ? {} : { [node]: info });
    }),
    get(
      "/models/checkpoints",
      () => jsonResponse(ensembles.all.map(({ ensemble }) => ensemble.name)),
    ),
    get("/embeddings", () => jsonResponse([])),
    get("/extensions", () => jsonResponse([])),
    get("/prompt", ({ caller }) => {
      const queue_remaining = unfinishedOf(runtime, caller).length;
      return jsonResponse({ exec_info: { queue_remaining } });
    }),
    post("/prompt", (call) => givePrompt(runtime, sockets, call)),
    get("/queue", ({ caller }) => jsonResponse(queueJson(runtime, caller))),
    post("/queue", async ({ request, caller }) => {
      const chosen = idsOf(await readJsonObject(request), "delete");
      const waiting = unfinishedOf(runtime, caller).filter(({ state }) => state === "queued");
      await cancelAll(runtime, waiting.filter(({ id }) => chosen?.includes(id) ?? true));
      return new Response(null);
    }),
    post("/interrupt", async ({ request, caller }) => {
      const { prompt_id } = await readJsonObject(request);
      const drawn = unfinishedOf(runtime, caller).filter(({ state }) => state === "running");
      const isMeant = ({ id }: ServedJob) => !prompt_id || id === prompt_id;
      await cancelAll(runtime, drawn.filter(isMeant));
      return new Response(null);
    }),
    get("/history", async ({ url, caller }) => {
      const limit = Number(url.searchParams.get("max_items") ?? MAX_HISTORY);
      const jobs = await endedOf(runtime, caller.owner, limit);
      // The oldest first, as there.
      const entries = jobs.toReversed().map((job) => [job.id, historyJson(job)]);
      return jsonResponse(Object.fromEntries(entries));
    }),
    get("/history/:id", async ({ params, caller }) => {
      const job = await runtime.find(params.id!);
      const isShown = job?.dialect === DIALECT && job.asked && isEnded(job) &&
        (caller.seesAll || job.owner === caller.owner);
      return jsonResponse(isShown ? { [job.id]: historyJson(job) } : {});
    }),
    post("/history", async ({ request, caller }) => {
      const chosen = idsOf(await readJsonObject(request), "delete");
      for (const job of await endedOf(runtime, caller.owner, MAX_HISTORY)) {
        if (chosen?.includes(job.id) ?? true) await runtime.expire(job);
      }
      return new Response(null);
    }),
    get("/view", (call) => view(runtime, call)),
    post("/upload/image", noPictures),
    post("/upload/mask", noPictures),
    post("/free", () => new Response(null)),
    get("/ws", (call) => {
      if (call.request.headers.get("upgrade")?.toLowerCase() === "websocket") {
        return sockets.connect(call);
      }
      throw httpError(426, "FAILED_PRECONDITION", "/ws is for WebSockets");
    }),
  ].flatMap((route) => [route, { ...route, path: `/api${route.path}` }]);
  return { name: DIALECT, routes, refusal: comfyRefusal };
}

function get(path: string, handle: Route["handle"]): Route {
  return { method: "GET", path, handle };
}

function post(path: string, handle: Route["handle"]): Route {
  return { method: "POST", path, handle };
}

function noPictures(): never {
  throw httpError(501, "UNIMPLEMENTED", "Tutti cannot draw from a picture yet");
}

async function givePrompt(
  runtime: JobRuntime,
  sockets: ComfySockets,
  { request, caller }: Call,
): Promise<Response> {
  const body = await readJsonObject(request);
  const { spec, nodes } = readGraph(body.prompt, runtime.ensembles);
  const clientId = typeof body.client_id === "string" ? body.client_id.slice(0, 100) : null;
  const asked: ComfyAsked = {
    ...{ graph: body.prompt as JsonObject, clientId, nodes },
    extraData: (body.extra_data ?? {}) as JsonObject,
  };
  const { owner, client } = named(caller, clientId);
  const { job } = await runtime.submit({
    ...{ spec, owner, client, dialect: DIALECT },
    asked: asked as unknown as JsonObject,
  });
  const live = runtime.live(job.id);
  if (live) sockets.follow(live);
  return jsonResponse({ prompt_id: job.id, number: job.createdAt, node_errors: {} });
}

async function view(runtime: JobRuntime, { url, caller }: Call): Promise<Response> {
  const name = url.searchParams.get("filename") ?? "";
  const id = runtime.pictures.jobOf(name);
  const job = id === undefined ? undefined : await runtime.find(id);
  const isTheirs = job !== undefined && (caller.seesAll || job.owner === caller.owner);
  const bytes = isTheirs ? await runtime.pictures.read(name) : undefined;
  if (!bytes) throw new TuttiError("NOT_FOUND", `There is no picture ${show(name)}`);
  return pngResponse(bytes);
}

/** Newest first, without those that have expired. */
async function endedOf(
  runtime: JobRuntime,
  owner: string,
  limit: number,
): Promise<readonly ServedJob[]> {
  const isLimit = Number.isSafeInteger(limit) && limit > 0;
  const states = ["succeeded", "failed", "canceled"] as const;
  return await runtime.list({
    ...{ owner, states, dialect: DIALECT },
    limit: isLimit ? Math.min(limit, MAX_HISTORY) : MAX_HISTORY,
  });
}

/** The ids that a body names; undefined where it means all with `clear`. */
function idsOf(body: JsonObject, key: string): readonly unknown[] | undefined {
  if (body.clear === true) return undefined;
  return Array.isArray(body[key]) ? body[key] : [];
}

/** The last first: else the next one would begin when the one before ends. */
async function cancelAll(runtime: JobRuntime, jobs: readonly ServedJob[]): Promise<void> {
  for (const job of jobs.toReversed()) {
    if (runtime.live(job.id)?.isEnding === false) await runtime.cancel(job);
  }
}

function systemStats() {
  const { total, free } = Deno.systemMemoryInfo();
  return {
    system: {
      os: Deno.build.os,
      ...{ ram_total: total, ram_free: free, comfyui_version: "0.0.0" },
      ...{ tutti_version: TUTTI_VERSION, python_version: "", pytorch_version: "", argv: [] },
      embedded_python: false,
    },
    devices: [{
      ...{ name: "cpu", type: "cpu", index: 0, vram_total: total, vram_free: free },
      ...{ torch_vram_total: 0, torch_vram_free: 0 },
    }],
  };
}
