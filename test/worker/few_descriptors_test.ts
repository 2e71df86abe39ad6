import assert from "node:assert/strict";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { fileURLToPath } from "node:url";
import { checkHealth } from "../../coordinator/cluster/worker_status.ts";
import { parseAddress } from "../../shared/wire/address.ts";
import { closeConn } from "../../shared/wire/plane/conn_io.ts";
import { boundConnections } from "../../worker/rpc/bound_connections.ts";
import { eventually } from "../support/serve_expert.ts";

const CHILD = fileURLToPath(import.meta.resolve("./few_descriptors_child.ts"));
/** A quarter is the bound; beside it up to 511 may wait to be refused. */
const DESCRIPTORS = 900;
/** More than there are. */
const MANY = 1000;

/** Connections of somebody who says nothing. */
class Crowd implements AsyncDisposable {
  readonly #conns: Deno.Conn[] = [];
  readonly #reads: Promise<unknown>[] = [];
  #closed = 0;

  /** How many of them the other end closed. */
  get closed(): number {
    return this.#closed;
  }

  /** At most so many: a port may be lost to them. */
  static async of(count: number, address: string): Promise<Crowd> {
    const crowd = new Crowd();
    const { host: hostname, port } = parseAddress(address);
    while (crowd.#conns.length < count) {
      const conn = await Deno.connect({ hostname, port }).catch(() => undefined);
      if (!conn) break;
      crowd.#conns.push(conn);
      const read = conn.read(new Uint8Array(1)).catch(() => {});
      crowd.#reads.push(read.then(() => crowd.#closed++));
    }
    return crowd;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const conn of this.#conns) closeConn(conn);
    await Promise.all(this.#reads);
  }
}

/** A worker whose process may open few files. */
async function spawnWorker() {
  const child = new Deno.Command("sh", {
    args: [
      ...["-c", `ulimit -n ${DESCRIPTORS} && exec "$@"`, "sh"],
      ...[Deno.execPath(), "run", "--quiet", "--allow-all", CHILD],
    ],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const said = child.stdout.getReader();
  const { value } = await said.read();
  await said.cancel();
  const { address, httpAddress } = JSON.parse(new TextDecoder().decode(value));
  return {
    address: address as string,
    httpAddress: httpAddress as string,
    openFiles: () => [...Deno.readDirSync(`/proc/${child.pid}/fd`)].length,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.status;
    },
  };
}

async function isReady(httpAddress: string): Promise<boolean> {
  const response = await fetch(`http://${httpAddress}/ready`).catch(() => undefined);
  await response?.body?.cancel();
  return response?.status === 200;
}

function isServing(address: string): Promise<boolean> {
  return checkHealth(address).then((health) => health === "SERVING", () => false);
}

Deno.test({
  name: "a worker whose files are taken by silent connections serves on once they are gone",
  ignore: Deno.build.os !== "linux",
}, async () => {
  await using worker = await spawnWorker();
  {
    await using crowd = await Crowd.of(MANY, worker.address);
    await eventually(() => crowd.closed > MANY / 2);
    assert.ok(worker.openFiles() < DESCRIPTORS, "all are taken");
    assert.equal(await isReady(worker.httpAddress), true, "the pages have files left");
  }
  await eventually(() => isServing(worker.address));
  {
    await using _crowd = await Crowd.of(MANY, worker.httpAddress);
    // Without one, the port is lost and had again.
    await eventually(() => worker.openFiles() >= DESCRIPTORS - 2);
  }
  await eventually(() => isReady(worker.httpAddress));
  assert.equal(await checkHealth(worker.address), "SERVING");
});

// If this fails after an upgrade of grpc-js: look for an official option first.
Deno.test("boundConnections() finds the private field of this grpc-js, and does without", async () => {
  const server = new Server();
  assert.equal(await boundConnections(server), false, "nothing is bound yet");
  await new Promise<void>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
  assert.equal(await boundConnections(server), true);
  server.forceShutdown();
  assert.equal(await boundConnections({} as Server), false);
});
