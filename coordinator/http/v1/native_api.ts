/** `/api/v1`: Tutti's own API, which other programs are written for. @module */

import type { JobRuntime } from "../runtime/job_runtime.ts";
import { jsonResponse } from "../server/responses.ts";
import type { Dialect, Route } from "../server/route.ts";
import { catalogRoutes } from "./catalog_routes.ts";
import { jobRoutes } from "./job_routes.ts";
import { SESSION_ROUTES } from "./session_routes.ts";
import { tokenRoute } from "./token_route.ts";
import { OPENAPI } from "./openapi.ts";

const OPENAPI_ROUTE: Route = {
  method: "GET",
  path: "/api/v1/openapi.json",
  isOpen: true,
  handle: () => jsonResponse(OPENAPI),
};

export function nativeApi(runtime: JobRuntime): Dialect {
  return {
    name: "v1",
    prefix: "/api/v1/",
    routes: [
      ...jobRoutes(runtime),
      ...catalogRoutes(runtime),
      tokenRoute(runtime),
      ...SESSION_ROUTES,
      OPENAPI_ROUTE,
    ],
    refusal: ({ code, message, details: { http_status: _, ...details } }, status) => ({
      status,
      body: { error: { code, message, details } },
    }),
  };
}
