/**
 * One gate before all handlers of a worker's gRPC server: a call without the right token never reaches them. Health is
 * open, for probes that have no token, and takes small messages only.
 *
 * @module
 */

import {
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from "@grpc/grpc-js";
import { TuttiError } from "../../shared/errors.ts";
import type { Role } from "../../shared/security/token_file.ts";
import type { TokenGuard } from "../../shared/security/token_guard.ts";
import { errorToStatus } from "../../shared/wire/status.ts";

const OPEN = "/grpc.health.v1.Health/";

/** Of a request for health, decompressed: the name of a service. */
const MAX_OPEN_BYTES = 4096;

/** grpc-js 1.14.7 has one limit for all methods, and no switch for compression. */
interface CallInternals {
  maxReceiveMessageSize?: number;
  readonly decoder?: { maxReadMessageLength?: number };
  /** What the client compresses with. */
  readonly incomingEncoding?: string;
}

/** Where it is not `client`. */
const ROLES_OF: Readonly<Record<string, readonly Role[]>> = {
  GetStatus: ["client", "metrics"],
  // Tells of other people's sessions.
  ListSessions: ["admin"],
  Drain: ["admin"],
};

export function authorization(guard: TokenGuard): ServerInterceptor {
  return ({ path }, call) => {
    const isOpen = path.startsWith(OPEN);
    if (isOpen) limitMessages(call as CallInternals);
    return new ServerInterceptingCall(call, {
      start: (next) => {
        const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, pass) => {
          try {
            if (!isOpen) {
              const method = path.slice(path.lastIndexOf("/") + 1);
              const [header] = metadata.get("authorization");
              guard.check(header?.toString(), ROLES_OF[method] ?? ["client"], method);
              refuseCompression(call as CallInternals);
            }
          } catch (error) {
            call.sendStatus(errorToStatus(error));
            return;
          }
          // Handlers have no use for it, and what they log cannot contain it.
          metadata.remove("authorization");
          pass(metadata);
        });
        next(listener.build());
      },
    });
  };
}

/** Otherwise anyone could make the worker hold as much as its widest block needs, in each of many calls. */
function limitMessages(call: CallInternals): void {
  call.maxReceiveMessageSize = MAX_OPEN_BYTES;
  if (call.decoder) call.decoder.maxReadMessageLength = MAX_OPEN_BYTES;
}

/** Feature maps do not get smaller by it, and a few bytes could grow to the largest message. */
function refuseCompression({ incomingEncoding = "identity" }: CallInternals): void {
  if (incomingEncoding === "identity") return;
  throw new TuttiError(
    "UNIMPLEMENTED",
    `Messages must not be compressed: current grpc-encoding is ${JSON.stringify(incomingEncoding)}`,
  );
}
