import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import type { JobRuntime } from "../../../coordinator/http/runtime/job_runtime.ts";
import { startApiServer } from "../../../coordinator/http/server/api_server.ts";
import { parseTokens } from "../../../shared/security/token_file.ts";
import { TokenGuard } from "../../../shared/security/token_guard.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { Asker } from "./ask.ts";
import { openRuntime, zooTests } from "./served_zoo.ts";

const SESSION = "/api/v1/session", MODELS = "GET /api/v1/models";
const [ALICE, BOB, METER] = ["alice", "bob", "meter"].map((name) => `${name}-0123456789abcdef`);
const TOKENS = `client:${ALICE}\nclient:${BOB}\nmetrics:${METER}`;

/** What a browser sends back of a `set-cookie`. */
async function signIn(asker: Asker, token: string | undefined): Promise<string> {
  const { status, headers } = await asker.ask(`POST ${SESSION}`, { body: { token } });
  assert.equal(status, 204);
  return headers.get("set-cookie")!.split(";")[0]!;
}

/** @returns the status with which a socket is opened, or not */
async function socketStatus(url: string, headers: Record<string, string>): Promise<number> {
  const asked = request(`${url}/ws?clientId=page`, {
    headers: {
      ...{ connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" },
      ...{ "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", ...headers },
    },
  });
  asked.end();
  const upgraded = once(asked, "upgrade").then(([{ statusCode }, socket]) => {
    socket.destroy();
    return statusCode;
  });
  const answered = once(asked, "response").then(([response]) => {
    response.resume();
    return response.statusCode;
  });
  return await Promise.race([upgraded, answered]);
}

function openWithTokens(runtime: JobRuntime): Asker {
  return new Asker(runtime, TOKENS);
}

zooTests("a browser's session", {
  "begins with a token and gives a cookie that no script reads and no other site sends": async (
    zoo,
  ) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = openWithTokens(runtime);
    const session = async (headers = {}) => (await asker.ask(`GET ${SESSION}`, { headers })).body;
    assert.deepEqual(await session(), { needs_token: true, is_signed_in: false });
    const given = await asker.ask(`POST ${SESSION}`, { body: { token: ALICE } });
    const [cookie, ...attributes] = given.headers.get("set-cookie")!.split("; ");
    assert.match(cookie!, /^tutti-7860=[\w-]{43}$/);
    assert.deepEqual(attributes, ["Path=/", "HttpOnly", "SameSite=Strict", "Max-Age=2592000"]);
    assert.deepEqual(await session({ cookie }), { needs_token: true, is_signed_in: true });
    const secure = await asker.ask(`POST https://127.0.0.1:7860${SESSION}`, {
      body: { token: ALICE },
    });
    assert.match(secure.headers.get("set-cookie")!, /; Secure$/);
    const out = await asker.ask(`DELETE ${SESSION}`);
    assert.match(out.headers.get("set-cookie")!, /^tutti-7860=; .*Max-Age=0/);
    const statusFor = async (body: unknown) =>
      (await asker.ask(`POST ${SESSION}`, { body })).status;
    const wrong = [{ token: "wrong-0123456789abcdef" }, { token: METER }, { token: 7 }, {}];
    assert.deepEqual(await Promise.all(wrong.map(statusFor)), [401, 403, 400, 400]);
    const open = new Asker(runtime);
    assert.deepEqual((await open.ask(`GET ${SESSION}`)).body, {
      needs_token: false,
      is_signed_in: true,
    });
  },

  "counts where no token is sent, for requests of the page itself": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = openWithTokens(runtime);
    const cookie = await signIn(asker, ALICE);
    const pass = cookie.split("=")[1]!;
    const cases: readonly (readonly [Record<string, string>, number])[] = [
      [{ cookie }, 200],
      [{ cookie, authorization: "" }, 200],
      [{ cookie: `theme=dark; ${cookie}`, "sec-fetch-site": "same-origin" }, 200],
      [{ cookie, "sec-fetch-site": "none" }, 200],
      // Another port of this machine is the same site, and another server.
      [{ cookie, "sec-fetch-site": "same-site" }, 401],
      [{ cookie, "sec-fetch-site": "cross-site" }, 401],
      [{ cookie, origin: "http://127.0.0.1:3000" }, 403],
      [{ cookie, authorization: "Bearer wrong-0123456789abcdef" }, 401],
      [{ cookie: `tutti-7861=${pass}` }, 401],
      [{ cookie: `tutti-7860=${pass.slice(1)}` }, 401],
      [{ cookie: "tutti-7860=" }, 401],
      // It is no token, and the token is no pass.
      [{ authorization: `Bearer ${pass}` }, 401],
      [{ cookie: `tutti-7860=${ALICE}` }, 401],
    ];
    for (const [headers, status] of cases) {
      assert.equal((await asker.ask(MODELS, { headers })).status, status, JSON.stringify(headers));
    }
    // A dialog of the browser's own would cover the page.
    const asScript = await asker.ask(MODELS, { headers: { "sec-fetch-dest": "empty" } });
    assert.equal(asScript.headers.get("www-authenticate"), 'Bearer realm="tutti"');
  },

  "is its token's: it sees that token's jobs, and ends when the token does": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = openWithTokens(runtime);
    const [alice, bob] = [await signIn(asker, ALICE), await signIn(asker, BOB)];
    const body = { prompt: "a castle", steps: 900 };
    const headers = { authorization: `Bearer ${ALICE}` };
    const { body: job } = await asker.ask("POST /api/v1/jobs", { body, headers });
    const statusFor = async (line: string, cookie: string) =>
      (await asker.ask(line, { headers: { cookie } })).status;
    assert.equal(await statusFor(`GET ${job.urls.self}`, alice), 200);
    assert.equal(await statusFor(`GET ${job.urls.self}`, bob), 404);
    assert.equal(await statusFor(`POST ${job.urls.cancel}`, alice), 202);
    const renewed = new Asker(runtime, `client:${BOB}`);
    const after = await renewed.ask(MODELS, { headers: { cookie: alice } });
    assert.equal(after.status, 401);
    assert.equal((await renewed.ask(MODELS, { headers: { cookie: bob } })).status, 200);
  },

  "opens the WebSocket, too": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const guard = new TokenGuard(parseTokens(TOKENS, "test"));
    await using server = await startApiServer({ host: "127.0.0.1", port: 0 }, runtime, { guard });
    const given = await fetch(server.url + SESSION, {
      method: "POST",
      body: JSON.stringify({ token: ALICE }),
    });
    const cookie = given.headers.get("set-cookie")!.split(";")[0]!;
    assert.equal(await socketStatus(server.url, { cookie }), 101);
    assert.equal(await socketStatus(server.url, {}), 401);
    assert.equal(await socketStatus(server.url, { cookie, origin: "http://evil.example" }), 403);
  },

  "a prompt is counted and read as the experts read it": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const asker = new Asker(runtime);
    const count = (body: unknown) => asker.ask("POST /api/v1/tokens", { body });
    const { body } = await count({ prompt: "a (red:1.3) heart BREAK blue <lora:x:1>" });
    assert.deepEqual([body.tokens, body.chunks], [4, 2]);
    assert.deepEqual(body.parts.slice(0, 2), [{ text: "a ", weight: 1 }, {
      text: "red",
      weight: 1.3,
    }]);
    assert.ok(body.parts.includes(null));
    assert.match(body.warnings[0], /<lora:x:1>/);
    const plain = await count({ prompt: "(red:1.3)", prompt_syntax: "plain" });
    assert.deepEqual(plain.body.parts, [{ text: "(red:1.3)", weight: 1 }]);
    const long = await count({ prompt: "red ".repeat(body.chunk_tokens + 1) });
    assert.deepEqual([long.body.tokens, long.body.chunks], [body.chunk_tokens + 1, 2]);
    assert.equal((await count({ prompt: "a", ensemble: "nobody" })).status, 404);
    assert.equal((await count({})).body.error.details.field, "prompt");
    assert.equal((await count({ prompt: "a", prompt_syntax: "x" })).status, 400);
  },
});
