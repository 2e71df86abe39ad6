import assert from "node:assert/strict";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { type ClientHttp2Session, connect, type Settings } from "node:http2";
import { FLOW_WINDOW_BYTES } from "../../../shared/wire/limits.ts";
import { openFlowWindow } from "../../../shared/wire/flow_window.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { serveExpert } from "../../support/serve_expert.ts";

// If this fails after an upgrade of grpc-js: look for an official option for servers first, then for
// where the two private fields went.
Deno.test("openFlowWindow() finds the private fields of this grpc-js", async () => {
  const server = new Server();
  const window = openFlowWindow(server);
  assert.equal(window.stream, true);
  assert.equal(window.afterBind(), false, "nothing is bound yet");
  await new Promise<void>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
  assert.equal(window.afterBind(), true);
  server.forceShutdown();
});

Deno.test("openFlowWindow() does without the private fields", () => {
  const window = openFlowWindow({} as Server);
  assert.equal(window.stream, false);
  assert.equal(window.afterBind(), false);
});

Deno.test("worker: tells its clients of an open window", async () => {
  await using served = await serveExpert(new AffineExpert());
  const session = connect(`http://${served.worker.address}`);
  try {
    assert.equal((await remoteSettings(session)).initialWindowSize, FLOW_WINDOW_BYTES);
  } finally {
    await new Promise<void>((resolve) => session.close(resolve));
  }
});

function remoteSettings(session: ClientHttp2Session): Promise<Settings> {
  return new Promise((resolve, reject) => {
    session.on("remoteSettings", resolve);
    session.on("error", reject);
  });
}
