import assert from "node:assert/strict";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { fileURLToPath } from "node:url";
import { checkHealth } from "../../coordinator/cluster/worker_status.ts";
import { boundConnections } from "../../worker/rpc/bound_connections.ts";
import { Crowd } from "../support/crowd.ts";
import { eventually } from "../support/serve_expert.ts";

const CHILD = fileURLToPath(import.meta.resolve("./few_descriptors_child.ts"));
/** A quarter is the bound of gRPC, an eighth that of the pages; beside it up to 511 may wait to be refused. */
const DESCRIPTORS = 900;
/** More than there are. */
const MANY = 1000;

/** A worker whose process may open few files. */
async function spawnWorker() {
  const child = new Deno.Command("sh", {
    args: [
      ...["-c", `ulimit -n ${DESCRIPTORS} && exec "$@"`, "sh"],
      ...[Deno.execPath(), "run", "--quiet", "--allow-all", CHILD],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const said = child.stdout.getReader();
  const readJson = async () => JSON.parse(new TextDecoder().decode((await said.read()).value));
  const { address, httpAddress } = await readJson();
  const input = child.stdin.getWriter();
  return {
    address: address as string,
    httpAddress: httpAddress as string,
    /** Takes all descriptors that are left, or gives them back. */
    async takeOrGiveBack(): Promise<void> {
      await input.write(Uint8Array.of(1));
      await readJson();
    },
    openFiles: () => [...Deno.readDirSync(`/proc/${child.pid}/fd`)].length,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await input.abort().catch(() => {});
      await said.cancel();
      await child.status;
    },
  };
}

async function isReady(httpAddress: string): Promise<boolean> {
  const response = await fetch(`http://${httpAddress}/ready`).catch(() => undefined);
  await response?.body?.cancel();
  return response?.status === 200;
}

Deno.test({
  name: "a worker whose ports are crowded by silent connections serves on meanwhile",
  ignore: Deno.build.os !== "linux",
}, async () => {
  await using worker = await spawnWorker();
  await using crowd = await Crowd.of(MANY, worker.address);
  await eventually(() => crowd.closed > MANY / 2);
  await using pageCrowd = await Crowd.of(MANY, worker.httpAddress);
  await eventually(() => pageCrowd.closed > MANY / 2);
  assert.ok(worker.openFiles() < DESCRIPTORS / 2, "half of the files are left");
  assert.equal(await checkHealth(worker.address), "SERVING");
  assert.equal(await isReady(worker.httpAddress), true);
});

Deno.test({
  name: "a port that was lost to a lack of descriptors is told, and opened anew",
  ignore: Deno.build.os !== "linux",
}, async () => {
  await using worker = await spawnWorker();
  await worker.takeOrGiveBack();
  // Accepting this one finds none, and Deno never accepts again.
  await using _crowd = await Crowd.of(1, worker.address);
  await assert.rejects(checkHealth(worker.address));
  await worker.takeOrGiveBack();
  const live = await fetch(`http://${worker.httpAddress}/live`);
  assert.equal(live.status, 503);
  assert.match((await live.json()).reason, /gRPC port accepted no connection/);
  assert.equal(await isReady(worker.httpAddress), true);
  assert.equal(await checkHealth(worker.address), "SERVING");
});

// If this fails after an upgrade of grpc-js: look for an official option first.
Deno.test("boundConnections() finds the private field of this grpc-js, and does without", async () => {
  const server = new Server();
  const afterBind = boundConnections(server);
  assert.deepEqual(await afterBind(), [], "nothing is bound yet");
  await new Promise<void>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
  const [port] = await afterBind();
  assert.equal(await port!.isAccepting(), true);
  port![Symbol.dispose]();
  server.forceShutdown();
  assert.equal(await port!.isAccepting(), false);
  assert.deepEqual(await boundConnections({} as Server)(), []);
});
