/** A worker for `few_descriptors_test.ts`, which starts it with few of them: prints its two addresses. @module */

import { printJson } from "../../shared/terminal/stdout.ts";
import { startWorkerServer } from "../../worker/rpc/server.ts";
import { AffineExpert } from "../support/affine_expert.ts";

const { ready, address, httpAddress } = await startWorkerServer({
  expert: new AffineExpert(),
  listen: "127.0.0.1:0",
  http: "127.0.0.1:0",
});
await ready;
printJson({ address, httpAddress });
