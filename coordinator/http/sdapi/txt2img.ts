/** `POST /sdapi/v1/txt2img` and `img2img`: answered when the pictures are there. @module */

import type { JobRuntime } from "../runtime/job_runtime.ts";
import { waitForEnd } from "../runtime/wait_for_end.ts";
import { PICTURE_BYTES, readJsonObject } from "../server/request_body.ts";
import { jsonResponse } from "../server/responses.ts";
import type { Call } from "../server/route.ts";
import type { ServedJob } from "../store/served_job.ts";
import type { ActiveRequests } from "./active_requests.ts";
import { generationInfo } from "./generation_info.ts";
import { throwFailure } from "../runtime/job_end.ts";
import { base64, partialPictures, storedPictures } from "../runtime/job_pictures.ts";
import { readInitImages } from "./img2img_request.ts";
import { readTxt2Img, type Txt2ImgRequest } from "./txt2img_request.ts";
import type { WebuiOptions } from "./webui_options.ts";

export interface WebuiState {
  readonly options: WebuiOptions;
  readonly requests: ActiveRequests;
}

export async function txt2img(
  runtime: JobRuntime,
  state: WebuiState,
  call: Call,
): Promise<Response> {
  const body = await readJsonObject(call.request);
  return await draw(runtime, state, call, readTxt2Img(body, call.caller.owner, state.options));
}

export async function img2img(
  runtime: JobRuntime,
  state: WebuiState,
  call: Call,
): Promise<Response> {
  const body = await readJsonObject(call.request, { maxBytes: PICTURE_BYTES });
  const init = await readInitImages(body);
  const wanted = readTxt2Img(body, call.caller.owner, state.options, init);
  // As the webui: the pictures that came go back where that is asked for.
  const sent = body.include_init_images === true
    ? {}
    : { init_images: null, ...(body.mask !== undefined && { mask: null }) };
  const parameters = { ...wanted.parameters, ...sent };
  return await draw(runtime, state, call, { ...wanted, parameters });
}

async function draw(
  runtime: JobRuntime,
  { requests }: WebuiState,
  { caller, gone }: Call,
  wanted: Txt2ImgRequest,
): Promise<Response> {
  const { owner, client } = caller;
  const { init } = wanted;
  const accepted: ServedJob[] = [];
  try {
    for (const spec of wanted.specs) {
      const { job } = await runtime.submit({ spec, init, owner, client, dialect: "sdapi" });
      accepted.push(job);
    }
  } catch (error) {
    // All or nothing: a part of the pictures is no answer.
    await requests.cancel(accepted.map(({ id }) => id));
    throw error;
  }
  // They are gone from the runtime when they have ended.
  const lives = accepted.map(({ id }) => runtime.live(id));
  using active = requests.add(owner, accepted.map(({ id }) => id));
  const jobs = await Promise.all(accepted.map((job) => waitForEnd(runtime, job, gone)));
  jobs.forEach(throwFailure);
  const pictures = await Promise.all(jobs.map(async (job, i) => {
    const denoised = lives[i]?.denoised;
    const isPartial = job.state === "canceled" && active.isInterrupted && denoised !== undefined;
    return isPartial
      ? await partialPictures(wanted.served.ensemble, job, denoised)
      : await storedPictures(runtime.pictures, job);
  }));
  const given = { pictures: pictures.flat(), startedAt: active.startedAt };
  const warnings = [...new Set(jobs.flatMap((job) => job.warnings))];
  const info = generationInfo(wanted, { ...given, warnings });
  return jsonResponse({
    images: wanted.sendsImages ? pictures.flat().map(({ bytes }) => base64(bytes)) : [],
    parameters: wanted.parameters,
    info: JSON.stringify(info),
  });
}
