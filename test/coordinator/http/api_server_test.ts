import assert from "node:assert/strict";
import { parseListenAddress, startApiServer } from "../../../coordinator/http/server/api_server.ts";
import { readJsonObject } from "../../../coordinator/http/server/request_body.ts";
import { statusOf } from "../../../coordinator/http/server/http_error.ts";
import { TuttiError } from "../../../shared/errors.ts";
import { parseTokens } from "../../../shared/security/token_file.ts";
import { TokenGuard } from "../../../shared/security/token_guard.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { openRuntime, zooTests } from "./served_zoo.ts";

const open = { guard: new TokenGuard([]) };

/** @param pieces what arrives; it never ends */
function slowRequest(pieces: readonly string[], headers: Record<string, string> = {}): Request {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
    },
  });
  return new Request("http://localhost/", { method: "POST", body, headers });
}

Deno.test("a body that is slow, too large or no JSON is given up", async () => {
  const statusFor = (request: Request, limits: { maxBytes?: number; maxMs?: number }) =>
    readJsonObject(request, limits).then(() => 200, (error) => statusOf(TuttiError.from(error)));
  const large = { "content-length": "1000" };
  assert.equal(await statusFor(slowRequest(["{"]), { maxMs: 1 }), 408);
  // Refused by what is announced, and by what comes: neither waits for the end.
  assert.equal(await statusFor(slowRequest([], large), { maxBytes: 999 }), 413);
  assert.equal(
    await statusFor(slowRequest(["x".repeat(600), "x".repeat(600)]), { maxBytes: 999 }),
    413,
  );
  const post = (body: string) => new Request("http://localhost/", { method: "POST", body });
  assert.equal(await statusFor(post("[".repeat(100_000)), {}), 400);
  assert.equal(await statusFor(post("null"), {}), 400);
  assert.deepEqual(await readJsonObject(post("")), {});
});

Deno.test("addresses that others can reach need TLS and a token, or --insecure", () => {
  const guard = new TokenGuard(parseTokens("0123456789abcdef", "test"));
  const tls = { cert: "", key: "" };
  assert.equal(parseListenAddress("127.0.0.1:7860", false, open).port, 7860);
  assert.equal(parseListenAddress("0.0.0.0:7860", true, open).host, "0.0.0.0");
  assert.equal(parseListenAddress("0.0.0.0:7860", false, { guard, tls }).host, "0.0.0.0");
  const refuses = (protection: Parameters<typeof parseListenAddress>[2], message: RegExp) =>
    assert.throws(() => parseListenAddress("0.0.0.0:7860", false, protection), message);
  refuses(open, /needs --tls-cert and --tls-key and --token-file/);
  refuses({ guard }, /needs --tls-cert and --tls-key: /);
  refuses({ ...open, tls }, /needs --token-file/);
});

zooTests("a server", {
  "answers over HTTP, and stops drawing when the client who waits goes away": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    await using server = await startApiServer({ host: "127.0.0.1", port: 0 }, runtime, open);
    const { protocol, port } = new URL(server.url);
    assert.deepEqual([protocol, port], ["http:", String(server.address.port)]);
    const client = new AbortController();
    const asked = fetch(`${server.url}/sdapi/v1/txt2img`, {
      method: "POST",
      body: JSON.stringify({ prompt: "a castle", steps: 900, width: 64, height: 64 }),
      signal: client.signal,
    }).then(() => "answered", () => "gone");
    const progress = async () => {
      const response = await fetch(`${server.url}/sdapi/v1/progress`);
      return await response.json();
    };
    while ((await progress()).state.sampling_step < 1) {
      // Until it is drawn.
    }
    const [live] = runtime.unfinished;
    client.abort();
    assert.equal(await asked, "gone");
    assert.equal((await live!.ended).state, "canceled");
    const { progress: value, state } = await progress();
    assert.deepEqual([value, state.job_count], [0, 0]);
    const models = await fetch(`${server.url}/sdapi/v1/sd-models`, { method: "HEAD" });
    assert.deepEqual([models.status, await models.text()], [200, ""]);
  },

  "that stops tells those who wait": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    await using server = await startApiServer({ host: "127.0.0.1", port: 0 }, runtime, open);
    const post = (path: string) =>
      fetch(server.url + path, { method: "POST", body: '{"prompt": "a castle", "steps": 900}' });
    const { id, urls } = await (await post("/api/v1/jobs")).json();
    const events = await fetch(server.url + urls.events);
    const waits = post("/sdapi/v1/txt2img");
    while (runtime.unfinished.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    await runtime.drain();
    assert.equal((await waits).status, 503);
    await (await waits).body?.cancel();
    // Without the job's end.
    assert.doesNotMatch(await events.text(), /"status":"(succeeded|failed|canceled)"/);
    assert.equal((await post("/api/v1/jobs").then(async (r) => (await r.text(), r))).status, 503);
    assert.equal((await runtime.find(id))?.state, "running");
  },
});
