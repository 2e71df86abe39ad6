import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { status } from "@grpc/grpc-js";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { gzipSync } from "node:zlib";
import { TokenGuard } from "../../../shared/security/token_guard.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { startWorkerServer } from "../../../worker/rpc/server.ts";

const SECRET = "client-0123456789abcdef";
const CHECK = "/grpc.health.v1.Health/Check";
const GET_STATUS = "/tutti.v1.WorkerService/GetStatus";
const MIB = 1024 * 1024;

/** A gRPC message, or the beginning of one that is longer. */
function frame(body: Uint8Array, { compressed = false, length = body.length } = {}): Buffer {
  const header = Buffer.alloc(5);
  header[0] = compressed ? 1 : 0;
  header.writeUInt32BE(length, 1);
  return Buffer.concat([header, body]);
}

/** @returns the status of a call that says so much and ends */
function statusOf(
  session: ClientHttp2Session,
  path: string,
  bytes: Buffer,
  headers: Readonly<Record<string, string>> = {},
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const stream = session.request({
    ...{ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" },
    ...headers,
  });
  const onHeaders = (headers: IncomingHttpHeaders) => {
    if ("grpc-status" in headers) resolve(Number(headers["grpc-status"]));
  };
  stream.on("response", onHeaders).on("trailers", onHeaders).on("error", reject);
  stream.on("close", () => reject(new Error("The call ended without a status")));
  stream.resume();
  stream.end(bytes);
  return promise.finally(() => stream.close());
}

Deno.test("whoever has no token cannot make a worker hold large messages, compressed or not", async () => {
  await using server = await startWorkerServer({
    expert: new AffineExpert(),
    listen: "127.0.0.1:0",
    security: { guard: new TokenGuard([{ role: "client", secret: SECRET }]) },
  });
  await server.ready;
  const session = connect(`http://${server.address}`);
  const gzip = { "grpc-encoding": "gzip" };
  const zip = (bytes: Uint8Array) => frame(gzipSync(bytes), { compressed: true });
  const withToken = { authorization: `Bearer ${SECRET}` };
  try {
    const unfinished = frame(new Uint8Array(10), { length: MIB });
    assert.equal(await statusOf(session, CHECK, unfinished), status.RESOURCE_EXHAUSTED);
    const bomb = zip(new Uint8Array(MIB));
    assert.ok(bomb.length < 4096);
    assert.equal(await statusOf(session, CHECK, bomb, gzip), status.RESOURCE_EXHAUSTED);
    // Small ones are as good as others.
    assert.equal(await statusOf(session, CHECK, zip(new Uint8Array()), gzip), status.OK);
    assert.equal(await statusOf(session, CHECK, frame(new Uint8Array())), status.OK);
    assert.equal(await statusOf(session, GET_STATUS, bomb, gzip), status.UNAUTHENTICATED);
    assert.equal(
      await statusOf(session, GET_STATUS, bomb, { ...gzip, ...withToken }),
      status.UNIMPLEMENTED,
    );
  } finally {
    await new Promise<void>((resolve) => session.close(resolve));
  }
});
