/** Programs and packages that this one stands on. @module */

import { createRequire } from "node:module";
import { workerService } from "../../shared/wire/load_proto.ts";
import { failed, type Finding, ok } from "./finding.ts";

const LEAST_DENO = [2, 9] as const;

export function checkDeno(version = Deno.version.deno): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isOld = major < LEAST_DENO[0] || (major === LEAST_DENO[0] && minor < LEAST_DENO[1]);
  if (!isOld) return ok("deno", version);
  const wanted = LEAST_DENO.join(".");
  return failed(
    "deno",
    `${version} is older than ${wanted}`,
    `run \`deno upgrade\`, or \`npx -y deno@${wanted}\` in place of \`deno\``,
  );
}

/** The package, and our service definitions read by it. */
export function checkGrpc(): Finding {
  try {
    const { version } = createRequire(import.meta.url)("@grpc/grpc-js/package.json") as {
      readonly version: string;
    };
    workerService();
    return ok("grpc", version);
  } catch (error) {
    return failed("grpc", (error as Error).message, "run `deno install` in this folder");
  }
}
