/**
 * A worker on a free port of this machine, and the coordinator's end of it, in one disposable.
 *
 * @module
 */

import { connectExpert, type RemoteExpert } from "../../coordinator/cluster/remote_expert.ts";
import type { BlockExpert } from "../../shared/engine/block_expert.ts";
import {
  type RunningWorker,
  startWorkerServer,
  type WorkerServerOptions,
} from "../../worker/rpc/server.ts";
import { BlockClient } from "./block_client.ts";

export interface ServedExpert extends AsyncDisposable {
  readonly worker: RunningWorker;
  readonly remote: RemoteExpert;
  /** Single calls, on a connection of their own. */
  readonly blocks: BlockClient;
}

/** Serves `expert` and connects to it; disposing closes both ends (not the expert). */
export async function serveExpert(
  expert: BlockExpert,
  options: Partial<WorkerServerOptions> = {},
): Promise<ServedExpert> {
  const worker = await startWorkerServer({ expert, listen: "127.0.0.1:0", ...options });
  await worker.ready;
  const remote = await connectExpert(worker.address);
  const blocks = new BlockClient(worker.address, remote.description.modelHash);
  return {
    worker,
    remote,
    blocks,
    async [Symbol.asyncDispose]() {
      blocks.close();
      await remote.close();
      await worker.stop();
    },
  };
}

/** Long enough for processes that start on a busy machine. */
const EVENTUALLY_MS = 60_000;

/** Waits until `condition` holds; for what another event loop turn or process brings about. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + EVENTUALLY_MS;
  while (!await condition()) {
    if (performance.now() > end) {
      throw new Error(`Still not so after ${EVENTUALLY_MS / 1000} s: ${condition}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
