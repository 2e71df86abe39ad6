/** Messages as they arrive at the other end. @module */

import type { Message } from "../../../shared/wire/fields.ts";
import { workerService } from "../../../shared/wire/load_proto.ts";

/** Through protobuf's bytes and back; a field whose name differs from the .proto file's would be lost here. */
export function travel(
  method: string,
  direction: "request" | "response",
  message: Message,
): Message {
  const {
    [`${direction}Serialize` as const]: serialize,
    [`${direction}Deserialize` as const]: read,
  } = workerService()[method]!;
  return read(serialize(message as never)) as unknown as Message;
}
