/** `POST /v1/images/generations` and `edits`: pictures in one answer, or as events while they are drawn. @module */

import { TuttiError } from "../../../shared/errors.ts";
import { throwUnlessSucceeded } from "../runtime/job_end.ts";
import { base64, partialPictures, storedPictures } from "../runtime/job_pictures.ts";
import type { JobRuntime } from "../runtime/job_runtime.ts";
import type { LiveJob } from "../runtime/live_job.ts";
import { waitForEnd } from "../runtime/wait_for_end.ts";
import { named } from "../server/access.ts";
import { eventStreamResponse, type ServerSentEvent } from "../server/event_stream.ts";
import { statusOf } from "../server/http_error.ts";
import { PICTURE_BYTES, readForm, readJsonObject } from "../server/request_body.ts";
import { jsonResponse } from "../server/responses.ts";
import type { Call } from "../server/route.ts";
import type { ServedJob } from "../store/served_job.ts";
import { PICTURES_PATH } from "../v1/job_json.ts";
import { readEditForm } from "./edit_form.ts";
import { type ImageRequest, readImageRequest } from "./image_request.ts";
import { openaiRefusal } from "./openai_error.ts";

export async function generateImages(runtime: JobRuntime, call: Call): Promise<Response> {
  const body = await readJsonObject(call.request);
  return await draw(runtime, call, readImageRequest(body, runtime.ensembles));
}

export async function editImages(runtime: JobRuntime, call: Call): Promise<Response> {
  const form = await readForm(call.request, { maxBytes: PICTURE_BYTES });
  const { body, init } = await readEditForm(form);
  return await draw(runtime, call, readImageRequest(body, runtime.ensembles, init));
}

async function draw(runtime: JobRuntime, call: Call, wanted: ImageRequest): Promise<Response> {
  const { gone, url } = call;
  const { spec, init } = wanted;
  const { owner, client } = named(call.caller, wanted.user);
  const { job } = await runtime.submit({ spec, init, owner, client, dialect: "openai" });
  if (wanted.partialImages !== undefined) {
    const live = runtime.live(job.id);
    return eventStreamResponse((signal) => events(runtime, { wanted, job, live }, signal));
  }
  const ended = await waitForEnd(runtime, job, gone);
  throwUnlessSucceeded(ended);
  const pictures = await storedPictures(runtime.pictures, ended);
  const [first] = ended.outputs;
  return jsonResponse({
    created: seconds(),
    ...facts(first!),
    data: wanted.format === "b64_json"
      ? pictures.map(({ bytes }) => ({ b64_json: base64(bytes) }))
      : ended.outputs.map(({ name }) => ({ url: `${url.origin}${PICTURES_PATH}/${name}` })),
  });
}

interface Drawing {
  readonly wanted: ImageRequest;
  readonly job: ServedJob;
  readonly live: LiveJob | undefined;
}

async function* events(
  runtime: JobRuntime,
  { wanted, job, live }: Drawing,
  signal: AbortSignal,
): AsyncGenerator<ServerSentEvent, void, void> {
  const ending = waitForEnd(runtime, job, signal);
  // Looked at below, after the pictures on the way.
  ending.catch(() => {});
  try {
    if (live) yield* partialEvents(wanted, live, signal);
    const ended = await ending;
    throwUnlessSucceeded(ended);
    for (const { bytes, ...size } of await storedPictures(runtime.pictures, ended)) {
      const usage = {
        input_tokens: 0,
        output_tokens: 0,
        total_tokens: 0,
        input_tokens_details: NONE,
      };
      yield event(wanted, "completed", { ...picture(bytes, size), usage });
    }
  } catch (cause) {
    const error = TuttiError.from(cause);
    yield { event: "error", data: openaiRefusal(error, statusOf(error)).body };
  }
}

const NONE = { image_tokens: 0, text_tokens: 0 };

/** So many, at even distances before the end; those of the first picture of several. */
async function* partialEvents(
  wanted: ImageRequest,
  live: LiveJob,
  signal: AbortSignal,
): AsyncGenerator<ServerSentEvent, void, void> {
  const { partialImages = 0, served: { ensemble }, spec: { steps } } = wanted;
  const left = Array.from(
    { length: partialImages },
    (_, i) => Math.floor(steps * (i + 1) / (partialImages + 1)),
  );
  let index = 0;
  for await (const { data: { progress } } of live.events.after(0, signal)) {
    const { denoised } = live;
    if (left.length === 0 || progress.stepsDone < left[0]! || progress.stepsDone >= steps) continue;
    if (!denoised) continue;
    // One that took longer to decode than steps to draw is worth as much as those that are due by now.
    while (left.length > 0 && left[0]! <= progress.stepsDone) left.shift();
    const [first] = await partialPictures(ensemble, live.job, denoised);
    const { bytes, ...size } = first!;
    yield event(wanted, "partial_image", {
      ...picture(bytes, size),
      partial_image_index: index++,
    });
  }
}

function event({ init }: ImageRequest, name: string, data: object): ServerSentEvent {
  const type = `${init ? "image_edit" : "image_generation"}.${name}`;
  return { event: type, data: { type, ...data } };
}

function picture(bytes: Uint8Array, size: Size) {
  return { b64_json: base64(bytes), created_at: seconds(), ...facts(size) };
}

interface Size {
  readonly width: number;
  readonly height: number;
}

function facts({ width, height }: Size) {
  return {
    ...{ size: `${width}x${height}`, quality: "auto", background: "opaque", output_format: "png" },
  };
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
