import assert from "node:assert/strict";
import { dialectsOf } from "../../../coordinator/http/server/dialects.ts";
import type { JobRuntime } from "../../../coordinator/http/runtime/job_runtime.ts";
import { decodePng } from "../../../coordinator/image/png.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { PROMPT } from "../../support/zoo.ts";
import { Asker } from "./ask.ts";
import { type Event, eventsOf } from "./read_events.ts";
import { openRuntime, zooTests } from "./served_zoo.ts";

const JOBS = "/api/v1/jobs";

async function ended(runtime: JobRuntime, id: string): Promise<void> {
  await runtime.live(id)?.ended;
}

zooTests("the native API", {
  "a job is given, followed to its end, cut off and picked up again, and fetched": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const body = {
      prompt: PROMPT,
      seed: "18446744073709551615",
      steps: 4,
      batch: 2,
      sampler: "Euler a",
    };
    const given = await asker.ask(`POST ${JOBS}`, { body });
    assert.equal(given.status, 202);
    const { id, urls } = given.body;
    assert.equal(given.headers.get("location"), urls.self);
    assert.deepEqual(given.body.seeds, ["18446744073709551615", "0"]);
    const { settings } = given.body;
    assert.deepEqual([settings.sampler, settings.steps, settings.guidance], ["euler_a", 4, 7.5]);

    const seen: Event[] = [];
    for await (const event of eventsOf(await asker.response(`GET ${urls.events}`))) {
      seen.push(event);
      if (event.event === "progress" && event.data.step === 2) break;
    }
    const headers = { "last-event-id": seen.at(-1)!.id! };
    const rest = await Array.fromAsync(
      eventsOf(await asker.response(`GET ${urls.events}`, { headers })),
    );
    const steps = [...seen, ...rest].filter(({ event }) => event === "progress");
    assert.deepEqual(steps.map(({ data }) => data.step), [0, 1, 2, 3, 4]);
    assert.equal(steps.at(-1)!.data.message, "decoding");
    assert.deepEqual(rest.slice(-3).map(({ event }) => event), ["output", "output", "status"]);
    const done = rest.at(-1)!;
    const again = await asker.ask(`GET ${urls.events}`, { headers: { "last-event-id": done.id! } });
    assert.equal(again.status, 204);
    const late = await Array.fromAsync(eventsOf(await asker.response(`GET ${urls.events}`)));
    assert.deepEqual(late.map(({ event }) => event), ["output", "output", "status"]);
    const last = { "last-event-id": late.at(-1)!.id! };
    assert.equal((await asker.ask(`GET ${urls.events}`, { headers: last })).status, 204);

    const job = (await asker.ask(`GET ${urls.self}`)).body;
    assert.deepEqual(job, done.data);
    assert.equal(job.status, "succeeded");
    assert.deepEqual(job.progress, {
      value: 1,
      step: 4,
      steps: 4,
      message: "succeeded",
      eta_seconds: null,
    });
    assert.deepEqual(job.outputs.map(({ seed }: { seed: string }) => seed), given.body.seeds);
    const picture = await asker.response(`GET ${job.outputs[1].url}`);
    const { width, text } = decodePng(new Uint8Array(await picture.arrayBuffer()));
    assert.equal(width, job.outputs[1].width);
    assert.match(text.parameters!, /Seed: 0,/);
    // What has ended is not cancelled, and can be removed.
    assert.equal((await asker.ask(`POST ${urls.cancel}`)).status, 409);
    assert.equal((await asker.ask(`DELETE ${urls.self}`)).status, 204);
    for (const line of [`GET ${urls.self}`, `POST ${urls.cancel}`, `GET ${job.outputs[1].url}`]) {
      const { status, body } = await asker.ask(line);
      assert.deepEqual([status, body.error.code], [410, "NOT_FOUND"], line);
    }
    assert.equal((await asker.ask(`GET ${JOBS}`)).body.jobs[0].status, "expired");
    assert.equal(id, job.id);
  },

  "what a job looks like is shown while it is drawn, to every API that has a place for it": async (
    zoo,
  ) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const { body: job } = await asker.ask(`POST ${JOBS}`, {
      body: { prompt: "a castle", steps: 900, batch: 2 },
    });
    const live = runtime.live(job.id)!;
    const { signal } = new AbortController();
    for await (const { data } of live.events.after(0, signal)) {
      if (data.progress.stepsDone > 1) break;
    }
    const shown = await asker.response(`GET ${job.urls.self}/previews/1?step=2`);
    assert.equal(shown.status, 200);
    const { width, height } = decodePng(new Uint8Array(await shown.arrayBuffer()));
    assert.deepEqual([width, height], [64, 64]);
    assert.equal((await asker.ask(`GET ${job.urls.self}/previews/2`)).status, 404);
    await asker.ask(`POST ${job.urls.cancel}`);
    await ended(runtime, job.id);
    assert.equal((await asker.response(`GET ${job.urls.self}/previews/1`)).status, 204);
  },

  "jobs wait in turn, are listed, cancelled and refused when too many wait": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path, { queueLimit: 4 });
    const asker = new Asker(runtime);
    const give = (client: string, other: object = {}, key?: string) =>
      asker.ask(`POST ${JOBS}`, {
        body: { prompt: "a castle", steps: 900, ...other },
        headers: { "tutti-client": client, ...(key !== undefined && { "idempotency-key": key }) },
      });
    const [drawn, second, third, other] = [
      await give("a"),
      await give("a", {}, "once"),
      await give("a"),
      await give("b"),
    ].map(({ body }) => body);
    const places = async () => {
      const { body } = await asker.ask(`GET ${JOBS}?status=queued,running`);
      return Object.fromEntries(
        // deno-lint-ignore no-explicit-any -- as the API has them
        body.jobs.map(({ id, queue_position }: any) => [id, queue_position]),
      );
    };
    assert.deepEqual(await places(), {
      [drawn.id]: null,
      [second.id]: 0,
      [other.id]: 1,
      [third.id]: 2,
    });
    const full = await give("a");
    assert.deepEqual([full.status, full.headers.get("retry-after")], [429, "5"]);
    assert.equal(full.body.error.code, "RESOURCE_EXHAUSTED");
    assert.equal((await give("b", { steps: 10 }, "once")).status, 409);
    const { body: page } = await asker.ask(`GET ${JOBS}?limit=3`);
    assert.equal(page.jobs.length, 3);
    const { body: rest } = await asker.ask(`GET ${page.next}`);
    assert.deepEqual(rest.jobs.map(({ id }: { id: string }) => id), [drawn.id]);
    const cancel = (job: { urls: { cancel: string } }) => asker.ask(`POST ${job.urls.cancel}`);
    assert.deepEqual(
      [await cancel(second), await cancel(drawn)].map(({ status, body }) => [status, body.status]),
      [[200, "canceled"], [202, "canceling"]],
    );
    await ended(runtime, drawn.id);
    await Promise.all([cancel(other), cancel(third)]);
    // Said twice with the same words, it is the same job, also when it has ended.
    const repeated = await give("a", {}, "once");
    assert.deepEqual([repeated.status, repeated.body.id], [202, second.id]);
    assert.equal(repeated.headers.get("idempotent-replayed"), "true");
  },

  "what cannot be drawn is refused with the field that says so": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const wrong: readonly (readonly [unknown, number, string | undefined, RegExp])[] = [
      [
        {},
        400,
        "prompt",
        /"prompt" must be a string of at most 20000 characters: current value is absent/,
      ],
      [{ prompt: 1 }, 400, "prompt", /current value is 1/],
      [{ prompt: "x".repeat(20_001) }, 400, "prompt", /20000/],
      [{ prompt: "a", stepps: 1 }, 400, "stepps", /did you mean "steps"/],
      [{ prompt: "a", steps: 0 }, 400, "steps", /whole number in 1\.\.1000/],
      [{ prompt: "a", steps: "4" }, 400, "steps", /current value is "4"/],
      [{ prompt: "a", guidance: "x" }, 400, "guidance", /finite number/],
      [{ prompt: "a", size: "100x64" }, 400, "size", /multiples of 8/],
      [{ prompt: "a", size: 999_999 }, 400, "size", /8\.\.16384/],
      [{ prompt: "a", seed: -2 }, 400, "seed", /-1 \(random\)/],
      [{ prompt: "a", seed: 2 ** 64 }, 400, "seed", /0\.\.18446744073709551615/],
      [{ prompt: "a", batch: 65 }, 400, "batch", /1\.\.64/],
      [{ prompt: "a", sampler: "eulr" }, 400, "sampler", /one of ddim/],
      [{ prompt: "a", schedule: "karas" }, 400, "schedule", /karras/],
      [{ prompt: "a", sampler: "ddim", schedule: "karras" }, 400, undefined, /karras/],
      [{ prompt: "a", eta: 2 }, 400, "eta", /0\.\.1/],
      [{ prompt: "a", s_tmin: 1 }, 400, "s_tmin", /"churn"/],
      [{ prompt: "a", clip_skip: 0 }, 400, "clip_skip", /1\.\.100/],
      [{ prompt: "a", guidance_interval: "1..0" }, 400, "guidance_interval", /0\.2\.\.0\.8/],
      [{ prompt: "a", method: "magic" }, 400, "method", /one of afa/],
      [
        { prompt: "a", method: "regions:round=/etc/a.png" },
        400,
        undefined,
        /no files/,
      ],
      [{ prompt: "a", aggregate: ["XX"] }, 400, "aggregate", /block ids/],
      [{ prompt: "a", preset: "slow" }, 400, "preset", /paper, fast/],
      [{ prompt: "a", ensemble: 7 }, 400, "ensemble", /name of an ensemble/],
      [{ prompt: "a", ensemble: "shape" }, 404, "ensemble", /There is no ensemble "shape"/],
      [[], 400, undefined, /must be a JSON object/],
      ["{", 400, undefined, /must be JSON/],
      [`{"prompt": "${"x".repeat(2 ** 20)}"}`, 400, undefined, /"prompt" must be/],
      // It may hold pictures.
      [`{"init": "${"x".repeat(2 ** 26)}"}`, 413, undefined, /at most 67\.1 MB/],
      [
        { prompt: "a", strength: 0.5 },
        400,
        "strength",
        /^"strength" needs a picture to start from: give "init"/,
      ],
    ];
    for (const [body, status, field, message] of wrong) {
      const answer = await asker.ask(`POST ${JOBS}`, { body });
      const what = JSON.stringify(body).slice(0, 100);
      assert.equal(answer.status, status, `${what} ${JSON.stringify(answer.body)}`);
      assert.match(answer.body.error.message, message, what);
      if (field !== undefined) assert.equal(answer.body.error.details.field, field, what);
    }
    const lines: readonly (readonly [string, number])[] = [
      [`GET ${JOBS}/nobody`, 404],
      [`GET ${JOBS}/nobody/events`, 404],
      [`POST ${JOBS}/nobody/cancel`, 404],
      [`DELETE ${JOBS}/nobody`, 404],
      [`GET ${JOBS}?limit=0`, 400],
      [`GET ${JOBS}?status=gone`, 400],
      ["GET /api/v1/pictures/..%2f..%2fjobs.sqlite", 404],
      ["GET /api/v1/pictures/%2e%2e", 404],
      ["GET /api/v1/nothing", 404],
      ["GET /nothing", 404],
      [`PUT ${JOBS}`, 405],
    ];
    for (const [line, status] of lines) {
      const { status: current, body } = await asker.ask(line);
      assert.equal(current, status, line);
      assert.equal(typeof body.error.message, "string", line);
    }
    assert.equal((await asker.ask(`PUT ${JOBS}`)).headers.get("allow"), "POST, GET");
    assert.deepEqual((await asker.ask(`GET ${JOBS}`)).body, { jobs: [], next: null });
  },

  "tokens say whose jobs are whose, as Bearer and as the password of Basic": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const [alice, bob, admin, meter] = ["alice", "bob", "admin", "meter"].map((name) =>
      `${name}-0123456789abcdef`
    );
    const asker = new Asker(
      runtime,
      `client:${alice}\nclient:${bob}\nadmin:${admin}\nmetrics:${meter}`,
    );
    const bearer = (token = "") => ({ authorization: `Bearer ${token}` });
    const basic = (token = "") => ({ authorization: `Basic ${btoa(`anybody:${token}`)}` });
    const statusOf = async (headers: Record<string, string>) => {
      const { status } = await asker.ask("GET /api/v1/models", { headers });
      return status;
    };
    assert.deepEqual(
      await Promise.all([
        ...[{}, { authorization: "" }, bearer("wrong-0123456789abcdef"), {
          authorization: "Basic !!!",
        }],
        ...[bearer(meter), bearer(alice), basic(bob), bearer(admin)],
      ].map(statusOf)),
      [401, 401, 401, 401, 403, 200, 200, 200],
    );
    const { headers } = await asker.ask("GET /api/v1/models");
    assert.match(headers.get("www-authenticate")!, /^Basic /);
    assert.equal((await asker.ask("GET /api/v1/openapi.json")).status, 200);
    const body = { prompt: "a castle", steps: 900 };
    const { body: job } = await asker.ask(`POST ${JOBS}`, { body, headers: bearer(alice) });
    const seen = async (headers: Record<string, string>) => [
      (await asker.ask(`GET ${job.urls.self}`, { headers })).status,
      (await asker.ask(`GET ${JOBS}`, { headers })).body.jobs.length,
    ];
    assert.deepEqual(await seen(basic(alice)), [200, 1]);
    assert.deepEqual(await seen(bearer(bob)), [404, 0]);
    assert.deepEqual(await seen(bearer(admin)), [200, 1]);
    assert.equal(
      (await asker.ask(`POST ${job.urls.cancel}`, { headers: bearer(bob) })).status,
      404,
    );
    assert.equal(
      (await asker.ask(`POST ${job.urls.cancel}`, { headers: bearer(admin) })).status,
      202,
    );
  },

  "pages of other sites, and foreign names of this machine, are refused": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const [open, guarded] = [new Asker(runtime), new Asker(runtime, "0123456789abcdef")];
    const models = (host: string) => `GET http://${host}/api/v1/models`;
    const statusOf = async (asker: Asker, host: string, headers: Record<string, string> = {}) =>
      (await asker.ask(models(host), { headers })).status;
    const hosts = ["127.0.0.1:7860", "localhost:7860", "[::1]:7860", "192.168.1.7", "tutti:7860"];
    for (
      const host of [...hosts, "host.docker.internal:7860", "nas.local", "pictures.example"]
    ) {
      assert.equal(await statusOf(open, host), 200, host);
      assert.equal(await statusOf(open, host, { origin: `http://${host}` }), 200, host);
      assert.equal(await statusOf(open, host, { origin: "http://evil.example" }), 403, host);
      assert.equal(await statusOf(open, host, { origin: "null" }), 403, host);
    }
    for (const host of ["evil.example", "local.evil.example", "127.0.0.1.evil.example"]) {
      assert.equal(await statusOf(open, host), 403, host);
    }
    const headers = { authorization: "Bearer 0123456789abcdef" };
    assert.equal(await statusOf(guarded, "behind-a-proxy.example", headers), 200);
  },

  "models, methods, samplers and workers are told": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path, {
      others: [{ ensemble: { ...zoo, name: "other" } }],
    });
    const asker = new Asker(runtime);
    const { body: { models } } = await asker.ask("GET /api/v1/models");
    // deno-lint-ignore no-explicit-any -- as the API has them
    assert.deepEqual(models.map(({ name, is_default }: any) => [name, is_default]), [
      [zoo.name, true],
      ["other", false],
    ]);
    // deno-lint-ignore no-explicit-any -- as the API has them
    assert.deepEqual(models[0].experts.map(({ name }: any) => name), ["round"]);
    assert.equal(models[0].defaults.sampler, "dpmpp_2m_karras");
    // Without trained aggregators there is none of those that need them.
    const playable = new Map(models[0].methods.map(
      ({ name, example }: { name: string; example: string | null }) => [name, example],
    ));
    assert.deepEqual([playable.has("afa"), playable.get("average"), playable.get("only")], [
      false,
      null,
      "round",
    ]);
    const { body: { methods } } = await asker.ask("GET /api/v1/methods");
    assert.ok(methods.some(({ name }: { name: string }) => name === "afa"));
    const { body: { samplers, schedules } } = await asker.ask("GET /api/v1/samplers");
    const euler = samplers.find(({ name }: { name: string }) => name === "euler");
    assert.deepEqual([euler.label, euler.evaluations_per_step, euler.draws_noise], [
      "Euler",
      1,
      false,
    ]);
    assert.ok(schedules.some(({ name }: { name: string }) => name === "karras"));
    const { body: { workers } } = await asker.ask("GET /api/v1/workers");
    assert.deepEqual(workers[0], {
      ensemble: zoo.name,
      expert: "round",
      address: null,
      state: "in this process",
    });
    assert.equal(workers.length, 2);
  },

  "the OpenAPI document has the routes that there are, and the fields of answers": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const { body: document } = await asker.ask("GET /api/v1/openapi.json");
    const told = Object.entries<Record<string, unknown>>(document.paths).flatMap((
      [path, methods],
    ) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
    const { routes } = dialectsOf(runtime)[0];
    const there = routes.map(({ method, path }) =>
      `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`
    );
    assert.deepEqual(told.sort(), there.sort());
    const references = [...JSON.stringify(document).matchAll(/#\/components\/schemas\/(\w+)/g)];
    for (const [, name] of references) assert.ok(document.components.schemas[name!], String(name));
    const { schemas } = document.components;
    const { body: job } = await asker.ask(`POST ${JOBS}`, { body: { prompt: PROMPT, steps: 1 } });
    await ended(runtime, job.id);
    const { body: done } = await asker.ask(`GET ${job.urls.self}`);
    const fieldsOf = (schema: string) => Object.keys(schemas[schema].properties).sort();
    assert.deepEqual(Object.keys(done).sort(), fieldsOf("Job"));
    assert.deepEqual(Object.keys(done.progress).sort(), fieldsOf("Progress"));
    assert.deepEqual(Object.keys(done.outputs[0]).sort(), fieldsOf("Output"));
  },
});
