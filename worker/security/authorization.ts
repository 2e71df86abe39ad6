/**
 * One gate before all handlers of a worker's gRPC server: a call without the right token never reaches them. Health is
 * open, for probes that have no token.
 *
 * @module
 */

import {
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from "@grpc/grpc-js";
import type { Role } from "../../shared/security/token_file.ts";
import type { TokenGuard } from "../../shared/security/token_guard.ts";
import { errorToStatus } from "../../shared/wire/status.ts";

const OPEN = "/grpc.health.v1.Health/";

/** Where it is not `client`. */
const ROLES_OF: Readonly<Record<string, readonly Role[]>> = {
  GetStatus: ["client", "metrics"],
  // Tells of other people's sessions.
  ListSessions: ["admin"],
  Drain: ["admin"],
};

export function authorization(guard: TokenGuard): ServerInterceptor {
  return ({ path }, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, pass) => {
          try {
            if (!path.startsWith(OPEN)) {
              const method = path.slice(path.lastIndexOf("/") + 1);
              const [header] = metadata.get("authorization");
              guard.check(header?.toString(), ROLES_OF[method] ?? ["client"], method);
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
}
