/** From an expert that is named by its model to one that is connected, over NATS. @module */

import { UsageError, WorkerError } from "../../shared/errors.ts";
import { isLoopback, parseAddress } from "../../shared/wire/address.ts";
import type { EnsembleExpert } from "../cluster/ensemble_file.ts";
import { checkRunningLoras } from "../cluster/expert_loras.ts";
import type { ModelChoice } from "../cluster/model_choice.ts";
import { connectExpert } from "../cluster/remote_expert.ts";
import { formatChoice } from "../discovery/choose_model.ts";
import type { Discovery } from "../discovery/discovery.ts";
import type { OpenEnsembleOptions } from "./ensemble.ts";
import type { ConnectedExpert } from "./open_experts.ts";

/** @throws {TuttiError} if no worker serves the model, or several models are meant */
export async function openDiscovered(
  { name, loras }: EnsembleExpert,
  choice: ModelChoice,
  discovery: Discovery | undefined,
  { transport, signal, onProgress }: OpenEnsembleOptions,
): Promise<ConnectedExpert> {
  if (discovery === undefined) {
    throw new UsageError(
      `Expert "${name}" is named by its model: --nats must say where its workers are found`,
    );
  }
  const directory = await discovery.find(choice, {
    ...(signal && { signal }),
    ...(onProgress && { onWait: onProgress }),
  });
  const [first] = directory.replicas().filter(({ isDraining }) => !isDraining)
    .sort((a, b) => (a.queueDepth ?? 0) - (b.queueDepth ?? 0));
  if (!first) {
    throw new WorkerError(
      "UNAVAILABLE",
      `All workers that serve a model with ${formatChoice(choice)} are draining`,
      { details: { expert: name } },
    );
  }
  const { address } = first;
  await using resources = new AsyncDisposableStack();
  const expert = await connectExpert(address, {
    ...(transport && { transport }),
    ...(signal && { signal }),
  });
  resources.defer(() => expert.close());
  if (loras) await checkRunningLoras(loras, expert.description.loras, { name, address });
  const owned = resources.move();
  return {
    ...{ name, address, where: `${name} (${address})`, expert },
    isElsewhere: !isLoopback(parseAddress(address)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
