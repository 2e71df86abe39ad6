/** Messages as bytes that nobody has looked at, to a worker's gRPC methods. @module */

import { type Client, type ServiceError, status } from "@grpc/grpc-js";
import { workerService } from "../../shared/wire/load_proto.ts";

const SAME_BYTES = (bytes: Buffer) => bytes;

/**
 * @param method as the .proto spells it
 * @param messages one for a single call; of a session's stream all that the client says
 * @returns the status of the call
 */
export function sendBytes(
  client: Client,
  method: string,
  messages: readonly Uint8Array[],
): Promise<number> {
  const { path, requestStream } = workerService()[method]!;
  const { promise, resolve } = Promise.withResolvers<number>();
  const done = (error: ServiceError | null) => resolve(error?.code ?? status.OK);
  if (!requestStream) {
    client.makeUnaryRequest(path, SAME_BYTES, SAME_BYTES, Buffer.from(messages[0]!), done);
    return promise;
  }
  const stream = client.makeBidiStreamRequest(path, SAME_BYTES, SAME_BYTES);
  stream.on("data", () => {});
  stream.on("end", () => done(null));
  stream.on("error", done);
  for (const bytes of messages) stream.write(Buffer.from(bytes));
  stream.end();
  return promise;
}
