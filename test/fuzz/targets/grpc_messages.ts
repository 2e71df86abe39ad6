/** The bytes of gRPC messages in both directions, read as both ends read them. @module */

import { workerService } from "../../../shared/wire/load_proto.ts";
import { type FuzzTarget, outcomeOf } from "../fuzz.ts";
import { mutateFields } from "../protobuf_fields.ts";
import { messageSeeds } from "./message_seeds.ts";

export async function grpcMessages(): Promise<FuzzTarget> {
  const service = workerService();
  const kinds = (await messageSeeds()).map(({ method, side, message, read }) => {
    const { requestSerialize, responseSerialize, ...definition } = service[method]!;
    const serialize = side === "request" ? requestSerialize : responseSerialize;
    const deserialize = side === "request"
      ? definition.requestDeserialize
      : definition.responseDeserialize;
    return { seed: new Uint8Array(serialize(message)), deserialize, read };
  });
  return {
    name: "grpc-messages",
    seeds: kinds.map(({ seed }) => seed),
    mutate: mutateFields,
    feed(bytes, seed) {
      const { deserialize, read } = kinds[seed]!;
      let message: unknown;
      try {
        message = deserialize(bytes as Buffer);
      } catch {
        // What protobuf cannot decode, gRPC answers with INTERNAL before our code is asked.
        return "undecodable";
      }
      return outcomeOf(() => read(message));
    },
    feedGood() {
      for (const { seed, deserialize, read } of kinds) read(deserialize(seed as Buffer));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
