/** `/sdapi/v1`: the API of AUTOMATIC1111's stable-diffusion-webui, as far as its clients go. @module */

import type { JobRuntime } from "../runtime/job_runtime.ts";
import { readJsonObject } from "../server/request_body.ts";
import { jsonResponse } from "../server/responses.ts";
import type { Dialect, Route } from "../server/route.ts";
import { ActiveRequests } from "./active_requests.ts";
import { pngInfo } from "./png_info.ts";
import { img2img, txt2img } from "./txt2img.ts";
import { webuiRefusal } from "./webui_error.ts";
import { webuiLists } from "./webui_lists.ts";
import { WebuiOptions } from "./webui_options.ts";
import { progressJson } from "./webui_progress.ts";

/** There is nothing to load again, and nothing to free: they are answered as done. */
const NOTHING_TO_DO = [
  ...["refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings"],
  ...["unload-checkpoint", "reload-checkpoint"],
];

export function webuiApi(runtime: JobRuntime): Dialect {
  const options = new WebuiOptions(runtime);
  const requests = new ActiveRequests(runtime);
  const get = (name: string, handle: Route["handle"]): Route => ({
    ...{ method: "GET", path: `/sdapi/v1/${name}`, handle },
  });
  const post = (name: string, handle: Route["handle"]): Route => ({
    ...{ method: "POST", path: `/sdapi/v1/${name}`, handle },
  });
  const routes = [
    ...webuiLists(runtime),
    get("options", ({ caller }) => jsonResponse(options.json(caller.owner))),
    post("options", async ({ request, caller }) => {
      options.set(caller.owner, await readJsonObject(request));
      return jsonResponse(null);
    }),
    get("progress", async ({ caller: { owner }, url }) => {
      const skipsImage = url.searchParams.get("skip_current_image") === "true";
      return jsonResponse(await progressJson(requests, runtime, { owner, skipsImage }));
    }),
    post("txt2img", (call) => txt2img(runtime, { options, requests }, call)),
    post("img2img", (call) => img2img(runtime, { options, requests }, call)),
    post("interrupt", async ({ caller }) => {
      await requests.interrupt(caller.owner);
      return jsonResponse({});
    }),
    post("skip", async ({ caller }) => {
      await requests.skip(caller.owner);
      return jsonResponse(null);
    }),
    post("png-info", async ({ request }) => jsonResponse(await pngInfo(request))),
    ...NOTHING_TO_DO.map((name) => post(name, () => jsonResponse(null))),
  ];
  return { name: "sdapi", prefix: "/sdapi/v1/", routes, refusal: webuiRefusal };
}
