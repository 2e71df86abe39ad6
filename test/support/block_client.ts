/**
 * A client that keeps no session: it calls single blocks of a worker, as programs in other languages do.
 *
 * @module
 */

import { BLOCK_DEADLINE_MS } from "../../coordinator/cluster/deadlines.ts";
import { WorkerClient } from "../../coordinator/cluster/worker_client.ts";
import type {
  BackwardResult,
  BlockExpert,
  StatelessBackward,
  StatelessForward,
} from "../../shared/engine/block_expert.ts";
import type { ForwardResult } from "../../shared/engine/expert.ts";
import { forwardBlockToMessage, forwardResultFromMessage } from "../../shared/wire/convert.ts";
import {
  backwardBlockToMessage,
  backwardResultFromMessage,
} from "../../shared/wire/convert_backward.ts";
import type { Message } from "../../shared/wire/fields.ts";

export class BlockClient implements Pick<BlockExpert, "forwardBlock" | "backwardBlock"> {
  readonly #client: WorkerClient;
  readonly #modelHash: string;

  /** @param address HOST:PORT */
  constructor(address: string, modelHash: string) {
    this.#client = new WorkerClient(address);
    this.#modelHash = modelHash;
  }

  async forwardBlock(request: StatelessForward, signal?: AbortSignal): Promise<ForwardResult> {
    const message = forwardBlockToMessage(request, this.#modelHash);
    return forwardResultFromMessage(await this.#call("ForwardBlock", message, signal));
  }

  async backwardBlock(request: StatelessBackward, signal?: AbortSignal): Promise<BackwardResult> {
    const message = backwardBlockToMessage(request, this.#modelHash);
    return backwardResultFromMessage(await this.#call("BackwardBlock", message, signal));
  }

  close(): void {
    this.#client.close();
  }

  #call(method: string, message: Message, signal: AbortSignal | undefined): Promise<unknown> {
    const context = { doing: `calling ${method}` };
    return this.#client.unary(method, message, { deadlineMs: BLOCK_DEADLINE_MS, signal, context });
  }
}
