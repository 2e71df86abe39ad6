/** The native API as an OpenAPI document: what a request may have follows from the table of settings. @module */

import { TUTTI_VERSION } from "../../../shared/wire/version.ts";
import { MAX_PROMPT_CHARS } from "../../settings/limits.ts";
import { PRESET_NAMES } from "../../settings/presets.ts";
import { fileKeyOf } from "../../settings/setting.ts";
import { SETTINGS } from "../../settings/settings.ts";
import { SERVED_STATES } from "../store/served_job.ts";

type Json = Readonly<Record<string, unknown>>;

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const text = (description?: string) => ({ type: "string", ...(description && { description }) });
const orNull = (schema: Json) => ({ anyOf: [schema, { type: "null" }] });
const listOf = (items: Json) => ({ type: "array", items });
const TIME = { type: "string", format: "date-time" };
const COUNT = { type: "integer", minimum: 0 };

function object(properties: Json, required = Object.keys(properties)): Json {
  return { type: "object", properties, required };
}

function jsonBody(description: string, schema: Json, headers: Json = {}): Json {
  const content = { "application/json": { schema } };
  return { description, content, ...(Object.keys(headers).length > 0 && { headers }) };
}

const ERRORS: Readonly<Record<number, string>> = {
  400: "A field is wrong; details.field names it",
  401: "A token is needed",
  403: "The token has another role, or the page is of another site",
  404: "There is none",
  408: "The body came too slowly",
  409: "Not in this state, or the Idempotency-Key came with another body",
  410: "It has expired",
  413: "The body is too large",
  429: "Too many jobs wait; Retry-After says when to come again",
  503: "The server is stopping, or cannot keep jobs",
};
/** Every route may answer these. */
const COMMON = [401, 403];

function errors(...statuses: readonly number[]): Json {
  return Object.fromEntries(
    [...COMMON, ...statuses].map((status) => [status, jsonBody(ERRORS[status]!, ref("Error"))]),
  );
}

const JOB_ID = { name: "id", in: "path", required: true, schema: text() };

function query(name: string, schema: Json, description: string): Json {
  return { name, in: "query", required: false, schema, description };
}

function header(name: string, description: string): Json {
  return { name, in: "header", required: false, schema: text(), description };
}

function settingsSchema(): Json {
  const rows = Object.entries(SETTINGS).map(([name, row]) => {
    const { expected } = ("inFile" in row.type && row.type.inFile) || row.type;
    return [fileKeyOf(name), { description: `${row.help}; must be ${expected}` }];
  });
  return Object.fromEntries(rows);
}

const SCHEMAS: Json = {
  NewJob: {
    ...object({
      prompt: { type: "string", maxLength: MAX_PROMPT_CHARS },
      ensemble: text("of /api/v1/models; the first one without"),
      preset: { enum: PRESET_NAMES },
      init: text("a picture to start from, as base64: PNG, JPEG or WebP"),
      mask: text("with init, as base64: only where it is white something is drawn"),
      ...settingsSchema(),
    }, ["prompt"]),
    additionalProperties: false,
  },
  Job: object({
    id: text(),
    status: { enum: SERVED_STATES },
    created_at: TIME,
    started_at: orNull(TIME),
    completed_at: orNull(TIME),
    expires_at: orNull(TIME),
    queue_position: orNull(COUNT),
    progress: ref("Progress"),
    outputs: listOf(ref("Output")),
    error: orNull(object({ code: text(), message: text() })),
    warnings: listOf(text()),
    dialect: text("the API that the job came by"),
    client: text("whom turns are counted for"),
    settings: { type: "object" },
    prompt: text(),
    seeds: listOf(text("a whole number below 2^64")),
    ensemble: text(),
    urls: object({ self: text(), events: text(), cancel: text() }),
  }),
  Progress: object({
    value: { type: "number", minimum: 0, maximum: 1 },
    step: COUNT,
    steps: COUNT,
    message: text(),
    eta_seconds: orNull({ type: "number" }),
  }),
  Output: object({
    id: text(),
    name: text(),
    type: { enum: ["image"] },
    content_type: text(),
    size_bytes: COUNT,
    hash: text("sha256: and hex digits"),
    url: text(),
    seed: text(),
    width: COUNT,
    height: COUNT,
  }),
  Tokens: object({
    tokens: COUNT,
    chunks: { ...COUNT, minimum: 1 },
    chunk_tokens: COUNT,
    parts: listOf(orNull(object({ text: text(), weight: { type: "number" } }))),
    warnings: listOf(text()),
  }),
  Error: object({ error: object({ code: text(), message: text(), details: { type: "object" } }) }),
};

const JOB = (description: string) => jsonBody(description, ref("Job"));

const PATHS: Json = {
  "/api/v1/jobs": {
    post: {
      summary: "Give a job",
      parameters: [
        header("Idempotency-Key", "the same key again is the same job"),
        header("Tutti-Client", "a name, to take turns by"),
      ],
      requestBody: { required: true, content: { "application/json": { schema: ref("NewJob") } } },
      responses: {
        202: jsonBody("Kept; it will be drawn", ref("Job"), { location: { schema: text() } }),
        ...errors(400, 404, 408, 409, 410, 413, 429, 503),
      },
    },
    get: {
      summary: "List jobs, the newest first",
      parameters: [
        query("limit", { type: "integer" }, "at most so many"),
        query("status", { enum: SERVED_STATES }, "only these; several with commas"),
        query("before", text(), "id of a job: only those that came before"),
      ],
      responses: {
        200: jsonBody("Jobs", object({ jobs: listOf(ref("Job")), next: orNull(text()) })),
        ...errors(400),
      },
    },
  },
  "/api/v1/jobs/{id}": {
    get: {
      summary: "Look at a job",
      parameters: [JOB_ID],
      responses: { 200: JOB("The job"), ...errors(404, 410) },
    },
    delete: {
      summary: "Remove an ended job's pictures",
      parameters: [JOB_ID],
      responses: { 204: { description: "They are gone" }, ...errors(404, 409, 410) },
    },
  },
  "/api/v1/jobs/{id}/cancel": {
    post: {
      summary: "Cancel a job",
      parameters: [JOB_ID],
      responses: {
        200: JOB("It is cancelled"),
        202: JOB("It is drawn at the moment, and will end"),
        ...errors(404, 409, 410),
      },
    },
  },
  "/api/v1/jobs/{id}/previews/{index}": {
    get: {
      summary: "What a picture of a running job looks like after its newest step",
      parameters: [
        JOB_ID,
        { name: "index", in: "path", required: true, schema: COUNT, description: "from 0" },
      ],
      responses: {
        200: { description: "The picture", content: { "image/png": { schema: text() } } },
        204: { description: "It is not drawn now" },
        ...errors(404, 410),
      },
    },
  },
  "/api/v1/jobs/{id}/events": {
    get: {
      summary: "Follow a job to its end",
      parameters: [JOB_ID, header("Last-Event-ID", "go on after this event")],
      responses: {
        200: {
          description:
            "progress (Progress), preview (addresses of pictures), output (Output) and status (Job); ends with the job",
          content: { "text/event-stream": { schema: text() } },
        },
        204: { description: "Nothing follows that event" },
        ...errors(400, 404, 410),
      },
    },
  },
  "/api/v1/pictures/{name}": {
    get: {
      summary: "A picture, which says how it was drawn",
      parameters: [{ ...JOB_ID, name: "name" }],
      responses: {
        200: {
          description: "PNG",
          content: { "image/png": { schema: { type: "string", format: "binary" } } },
        },
        ...errors(404, 410),
      },
    },
  },
  ...Object.fromEntries(
    [["models", "Ensembles to draw with"], ["methods", "Ways in which experts play together"], [
      "samplers",
      "Samplers and noise schedules",
    ], ["workers", "Workers and how busy they are"]].map(([name, summary]) => [`/api/v1/${name}`, {
      get: {
        summary,
        responses: { 200: jsonBody(summary!, { type: "object" }), ...errors() },
      },
    }]),
  ),
  "/api/v1/tokens": {
    post: {
      summary: "Count a prompt's tokens, and say how it is read",
      requestBody: {
        required: true,
        content: {
          "application/json": {
            schema: object({
              prompt: { type: "string", maxLength: MAX_PROMPT_CHARS },
              ensemble: text("of /api/v1/models; the first one without"),
              prompt_syntax: { description: "as of a job" },
            }, ["prompt"]),
          },
        },
      },
      responses: {
        200: jsonBody("As the experts read it", ref("Tokens")),
        ...errors(400, 404, 408, 413),
      },
    },
  },
  "/api/v1/session": {
    get: {
      summary: "Whether a token is needed, and whether this browser has given one",
      security: [],
      responses: {
        200: jsonBody(
          "Of this browser",
          object({ needs_token: { type: "boolean" }, is_signed_in: { type: "boolean" } }),
        ),
        ...errors(),
      },
    },
    post: {
      summary: "Sign in: a browser gets a cookie for a token",
      security: [],
      requestBody: {
        required: true,
        content: { "application/json": { schema: object({ token: text() }) } },
      },
      responses: {
        204: {
          description: "Signed in",
          headers: { "set-cookie": { schema: text("HttpOnly, SameSite=Strict") } },
        },
        ...errors(400, 408, 413),
      },
    },
    delete: {
      summary: "Sign out",
      security: [],
      responses: { 204: { description: "The cookie is taken back" }, ...errors() },
    },
  },
  "/api/v1/openapi.json": {
    get: {
      summary: "This document",
      security: [],
      responses: { 200: jsonBody("OpenAPI 3.1", { type: "object" }) },
    },
  },
};

export const OPENAPI: Json = {
  openapi: "3.1.0",
  info: { title: "Tutti", version: TUTTI_VERSION, license: { name: "Apache-2.0" } },
  security: [{ bearer: [] }, { basic: [] }, { cookie: [] }, {}],
  paths: PATHS,
  components: {
    securitySchemes: {
      bearer: { type: "http", scheme: "bearer" },
      basic: { type: "http", scheme: "basic" },
      cookie: { type: "apiKey", in: "cookie", name: "tutti-PORT" },
    },
    schemas: SCHEMAS,
  },
};
