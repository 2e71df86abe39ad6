/**
 * A worker for `few_descriptors_test.ts`, which starts it with few of them: prints its two addresses. A byte on standard
 * input makes it take all that are left, until the next one.
 *
 * @module
 */

import { printJson } from "../../shared/terminal/stdout.ts";
import { startWorkerServer } from "../../worker/rpc/server.ts";
import { AffineExpert } from "../support/affine_expert.ts";

// Deno needs descriptors for its first one, and panics without.
Deno.addSignalListener("SIGUSR2", () => {});

const { ready, address, httpAddress } = await startWorkerServer({
  expert: new AffineExpert(),
  listen: "127.0.0.1:0",
  http: "127.0.0.1:0",
});
await ready;
printJson({ address, httpAddress });

const taken: Deno.FsFile[] = [];
for await (const _ of Deno.stdin.readable) {
  if (taken.length === 0) takeAll();
  else while (taken.length > 0) taken.pop()!.close();
  printJson({ taken: taken.length });
}

function takeAll(): void {
  try {
    for (;;) taken.push(Deno.openSync("/dev/null"));
  } catch {
    // None is left.
  }
}
