/** `/api/v1/jobs`: giving jobs, looking at them, following them, ending them. @module */

import { createHash } from "node:crypto";
import { TuttiError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import { wrongField } from "../runtime/job_request.ts";
import { jobPreviews } from "../runtime/job_previews.ts";
import type { JobRuntime } from "../runtime/job_runtime.ts";
import { httpError } from "../server/http_error.ts";
import { jsonObject, PICTURE_BYTES, readText } from "../server/request_body.ts";
import { jsonResponse, pngResponse } from "../server/responses.ts";
import type { Call, Route } from "../server/route.ts";
import { SERVED_STATES, type ServedJob, type ServedState } from "../store/served_job.ts";
import { readJobBody } from "./job_body.ts";
import { jobEvents } from "./job_events_response.ts";
import { jobJson, JOBS_PATH, PICTURES_PATH } from "./job_json.ts";

const KEY = /^[\x21-\x7e]{1,255}$/;
const MAX_LISTED = 200, USUALLY_LISTED = 50;

export function jobRoutes(runtime: JobRuntime): readonly Route[] {
  const found = (call: Call) => findJob(runtime, call, call.params.id!);
  const answer = (job: ServedJob, status = 200) => jsonResponse(jobJson(job, runtime), status);
  return [
    { method: "POST", path: JOBS_PATH, handle: (call) => submit(runtime, call) },
    { method: "GET", path: JOBS_PATH, handle: (call) => list(runtime, call) },
    { method: "GET", path: `${JOBS_PATH}/:id`, handle: async (call) => answer(await found(call)) },
    {
      method: "GET",
      path: `${JOBS_PATH}/:id/events`,
      handle: async (call) => jobEvents(runtime, await found(call), call),
    },
    {
      method: "GET",
      path: `${JOBS_PATH}/:id/previews/:index`,
      handle: async (call) => {
        const job = await found(call);
        const index = Number(call.params.index);
        if (!(index in job.spec.seeds)) throw noPicture(call.url.pathname);
        const live = runtime.live(job.id);
        const files = live && await jobPreviews(runtime.ensembles, live);
        // It may have ended since its address was told.
        return files
          ? pngResponse(new Uint8Array(files[index]!))
          : new Response(null, { status: 204 });
      },
    },
    {
      method: "POST",
      path: `${JOBS_PATH}/:id/cancel`,
      handle: async (call) => {
        const job = await runtime.cancel(await found(call));
        return answer(job, job.state === "canceling" ? 202 : 200);
      },
    },
    {
      method: "DELETE",
      path: `${JOBS_PATH}/:id`,
      handle: async (call) => {
        await runtime.expire(await found(call));
        return new Response(null, { status: 204 });
      },
    },
    {
      method: "GET",
      path: `${PICTURES_PATH}/:name`,
      handle: async (call) => {
        const name = call.params.name!;
        const id = runtime.pictures.jobOf(name);
        if (id === undefined) throw noPicture(name);
        await findJob(runtime, call, id);
        const bytes = await runtime.pictures.read(name);
        if (!bytes) throw noPicture(name);
        return pngResponse(bytes);
      },
    },
  ];
}

/**
 * A job that the caller may see.
 *
 * @throws {TuttiError} NOT_FOUND, with status 410 if it was there and has expired
 */
export async function findJob(
  runtime: JobRuntime,
  { caller }: Pick<Call, "caller">,
  id: string,
): Promise<ServedJob> {
  const job = await runtime.find(id);
  if (!job || !(caller.seesAll || job.owner === caller.owner)) {
    throw new TuttiError("NOT_FOUND", `There is no job ${show(id)}`);
  }
  if (job.state !== "expired") return job;
  throw httpError(410, "NOT_FOUND", `Job ${show(id)} has expired: its pictures are gone`);
}

async function submit(runtime: JobRuntime, { request, caller }: Call): Promise<Response> {
  const text = await readText(request, { maxBytes: PICTURE_BYTES });
  const body = jsonObject(text);
  const key = request.headers.get("idempotency-key");
  if (key !== null && !KEY.test(key)) {
    throw wrongField("Idempotency-Key", "1 to 255 characters without spaces", key);
  }
  const wanted = await readJobBody(body, runtime.ensembles);
  const { job, isRepeated } = await runtime.submit({
    ...{ ...wanted, client: caller.client, owner: caller.owner, dialect: "v1" },
    ...(key !== null && { idempotency: { key, bodyHash: hashOf(text) } }),
  });
  if (isRepeated) await findJob(runtime, { caller }, job.id);
  const location = `${JOBS_PATH}/${job.id}`;
  return jsonResponse(jobJson(job, runtime), 202, {
    location,
    ...(isRepeated && { "idempotent-replayed": "true" }),
  });
}

async function list(runtime: JobRuntime, { url, caller }: Call): Promise<Response> {
  const query = url.searchParams;
  const limit = Number(query.get("limit") ?? USUALLY_LISTED);
  if (!(Number.isSafeInteger(limit) && 1 <= limit && limit <= MAX_LISTED)) {
    throw wrongField("limit", `a whole number in 1..${MAX_LISTED}`, query.get("limit"));
  }
  const states = query.getAll("status").flatMap((text) => text.split(","));
  const odd = states.find((state) => !SERVED_STATES.some((each) => each === state));
  if (odd !== undefined) throw wrongField("status", `one of ${SERVED_STATES.join(", ")}`, odd);
  const before = query.get("before") ?? undefined;
  const jobs = await runtime.list({
    limit,
    ...(states.length > 0 && { states: states as ServedState[] }),
    ...(before !== undefined && { before }),
    ...(!caller.seesAll && { owner: caller.owner }),
  });
  return jsonResponse({
    jobs: jobs.map((job) => jobJson(runtime.live(job.id)?.job ?? job, runtime)),
    next: jobs.length === limit ? `${JOBS_PATH}?limit=${limit}&before=${jobs.at(-1)!.id}` : null,
  });
}

function noPicture(name: string): TuttiError {
  return new TuttiError("NOT_FOUND", `There is no picture ${show(name)}`);
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
