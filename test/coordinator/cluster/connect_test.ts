import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo, Server as NetServer, Socket } from "node:net";
import { createServer as createTcpServer } from "node:net";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { connectExpert } from "../../../coordinator/cluster/remote_expert.ts";
import { checkHealth, readWorkerStatus } from "../../../coordinator/cluster/worker_status.ts";
import { UsageError, WorkerError } from "../../../shared/errors.ts";
import {
  descriptionToMessage,
  type WorkerDescription,
} from "../../../shared/wire/convert_description.ts";
import type { Message } from "../../../shared/wire/fields.ts";
import { DEFAULT_LIMITS } from "../../../shared/wire/limits.ts";
import { workerService } from "../../../shared/wire/load_proto.ts";
import { PROTOCOL } from "../../../shared/wire/version.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { serveExpert } from "../../support/serve_expert.ts";

/** What stands at an address, until it is closed. */
interface Stranger extends AsyncDisposable {
  readonly address: string;
}

async function listening(server: NetServer): Promise<Stranger> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => void sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => {
      sockets.forEach((socket) => socket.destroy());
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function grpcServer(server: Server): Promise<Stranger> {
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  return {
    address: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => {
      server.forceShutdown();
      return Promise.resolve();
    },
  };
}

/** A worker of our service that describes itself as the test wants. */
function describing(response: Message): Promise<Stranger> {
  const server = new Server();
  server.addService(workerService(), {
    describe: (_call: unknown, callback: (error: null, response: Message) => void) =>
      callback(null, response),
  });
  return grpcServer(server);
}

function descriptionMessage(changes: Message = {}): Message {
  const worker: WorkerDescription = {
    versions: { protocol: PROTOCOL, tutti: "9.9.9", deno: "9", runtime: "r" },
    expert: new AffineExpert().description,
    configJson: "",
    limits: DEFAULT_LIMITS,
  };
  return { ...descriptionToMessage(worker), ...changes };
}

/** Longer than any machine takes: what ends only with it hangs here. */
const NEVER_MS = 3_600_000;

async function assertRefused(
  address: string,
  code: string,
  message: RegExp,
  connectTimeoutMs = NEVER_MS,
) {
  await assert.rejects(connectExpert(address, { connectTimeoutMs }), (error) => {
    assert.ok(error instanceof WorkerError, String(error));
    assert.match(error.message, message);
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.includes(address));
    assert.equal(error.details.worker, address);
    return true;
  });
}

Deno.test("connectExpert() to a closed port says how to start a worker there", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${listener.addr.port}`;
  listener.close();
  await assertRefused(
    address,
    "UNAVAILABLE",
    /No worker can be reached at .* \(.*ECONNREFUSED.*\): start one there with "tutti worker/,
  );
  await assert.rejects(readWorkerStatus(address), { name: "WorkerError", code: "UNAVAILABLE" });
  await assert.rejects(checkHealth(address), { name: "WorkerError", code: "UNAVAILABLE" });
});

Deno.test("connectExpert() to a name that does not resolve names it", async () => {
  await assertRefused("no-such-host.invalid:7070", "UNAVAILABLE", /No worker can be reached/);
});

Deno.test("connectExpert() to an HTTP/1 server fails with the address", async () => {
  await using stranger = await listening(createHttpServer((_, response) => response.end("hello")));
  await assertRefused(stranger.address, "UNAVAILABLE", /check|correct the address/);
});

Deno.test("connectExpert() to a web server that speaks HTTP/2 says that it is no worker", async () => {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response("hello"),
  );
  try {
    const address = `127.0.0.1:${server.addr.port}`;
    await assertRefused(address, "FAILED_PRECONDITION", /is no Tutti worker/);
  } finally {
    await server.shutdown();
  }
});

Deno.test("connectExpert() to a port that says nothing gives up after its timeout", async () => {
  await using stranger = await listening(createTcpServer());
  const message = /within 1 s|No worker can be reached/;
  await assertRefused(stranger.address, "UNAVAILABLE", message, 1_000);
});

Deno.test("connectExpert() to another gRPC server says that it is no worker", async () => {
  const server = new Server();
  new HealthImplementation({ "": "SERVING" }).addToServer(server);
  await using stranger = await grpcServer(server);
  await assertRefused(stranger.address, "FAILED_PRECONDITION", /is no Tutti worker/);
  assert.equal(await checkHealth(stranger.address), "SERVING");
});

Deno.test("connectExpert() refuses a worker of another protocol and says which side is older", async () => {
  const versions = (min: number, max: number) =>
    descriptionMessage({
      versions: { protocolMin: min, protocolMax: max, tutti: "9.9.9" },
      // What a later protocol may no longer send.
      blocks: [],
    });
  const { max } = PROTOCOL;
  await using newer = await describing(versions(max + 1, max + 2));
  await assertRefused(
    newer.address,
    "FAILED_PRECONDITION",
    new RegExp(
      `Tutti 9\\.9\\.9\\) speaks protocol ${max + 1}\\.\\.${
        max + 2
      }, .* protocol ${max}: update this side`,
    ),
  );
});

Deno.test("connectExpert() refuses a description that makes no sense, naming the field", async () => {
  const block = (changes: Message) => {
    const [first, ...others] = descriptionMessage().blocks as Message[];
    return { blocks: [{ ...first, ...changes }, ...others] };
  };
  const cases: [Message, RegExp][] = [
    [{ modelHash: "xyz" }, /DescribeResponse\.model_hash must be 64 hexadecimal digits/],
    [{ name: "" }, /DescribeResponse\.name must be a non-empty string/],
    [{ family: "sd3" }, /family must be one of "sd15", "sdxl": current value is "sd3"/],
    [{ predictionType: "sample" }, /prediction_type must be one of/],
    [{ latentChannels: 0 }, /latent_channels must be a whole number >= 1/],
    [{ blocks: [] }, /must have blocks/],
    [block({ id: "IN01" }), /BlockDescription\.id must be unique: current value is "IN01"/],
    [block({ skipFrom: "IN05" }), /skip_from must be an earlier block/],
    [block({ outScale: 17 }), /out_scale must be a whole number in 0\.\.16/],
    [{ limits: null }, /DescribeResponse\.limits must be set/],
    [{ versions: null }, /DescribeResponse\.versions must be set/],
    [{ textEncoders: [{ vocabSize: 5 }] }, /max_length must be/],
  ];
  for (const [changes, message] of cases) {
    await using stranger = await describing(descriptionMessage(changes));
    await assertRefused(stranger.address, "INTERNAL", message);
  }
});

Deno.test("connectExpert() refuses what is no address, and stops when told to", async () => {
  await assert.rejects(connectExpert("not an address"), UsageError);
  await assert.rejects(connectExpert("127.0.0.1:1", { signal: AbortSignal.abort() }), {
    code: "CANCELLED",
  });
  const stop = new AbortController();
  await using stranger = await listening(createTcpServer(() => stop.abort()));
  const { signal } = stop;
  await assert.rejects(connectExpert(stranger.address, { signal }), { code: "CANCELLED" });
});

Deno.test("connectExpert() connects after it failed, as soon as there is a worker", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${listener.addr.port}`;
  listener.close();
  await assertRefused(address, "UNAVAILABLE", /ECONNREFUSED/);
  await using served = await serveExpert(new AffineExpert(), { listen: address });
  assert.equal(served.remote.description.name, "affine");
});
