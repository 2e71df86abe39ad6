/** `/v1`: OpenAI's API of images, without variations. @module */

import { httpError } from "../server/http_error.ts";
import type { JobRuntime } from "../runtime/job_runtime.ts";
import type { ServedEnsemble } from "../runtime/served_ensembles.ts";
import { jsonResponse } from "../server/responses.ts";
import type { Dialect, Route } from "../server/route.ts";
import { editImages, generateImages } from "./generate_images.ts";
import { findModel } from "./image_request.ts";
import { openaiRefusal } from "./openai_error.ts";

export function openaiApi(runtime: JobRuntime): Dialect {
  const { ensembles } = runtime;
  const routes: readonly Route[] = [
    {
      method: "POST",
      path: "/v1/images/generations",
      handle: (call) => generateImages(runtime, call),
    },
    {
      method: "POST",
      path: "/v1/images/edits",
      handle: (call) => editImages(runtime, call),
    },
    {
      method: "POST",
      path: "/v1/images/variations",
      handle: () => {
        throw httpError(
          501,
          "UNIMPLEMENTED",
          "Tutti draws no variations without a prompt: use /v1/images/edits",
        );
      },
    },
    {
      method: "GET",
      path: "/v1/models",
      handle: () => jsonResponse({ object: "list", data: ensembles.all.map(modelJson) }),
    },
    {
      method: "GET",
      path: "/v1/models/:id",
      handle: ({ params }) => jsonResponse(modelJson(findModel(params.id, ensembles))),
    },
  ];
  return { name: "openai", prefix: "/v1/", routes, refusal: openaiRefusal };
}

function modelJson({ ensemble }: ServedEnsemble) {
  return { id: ensemble.name, object: "model", created: 0, owned_by: "tutti" };
}
