/** From an expert that is named by its model to one that is connected, over NATS. @module */

import { UsageError, WorkerError } from "../../shared/errors.ts";
import type { EnsembleExpert } from "../cluster/ensemble_file.ts";
import type { ModelChoice } from "../cluster/model_choice.ts";
import { formatChoice } from "../discovery/choose_model.ts";
import type { LateDiscovery } from "../discovery/late_discovery.ts";
import { connectReplicas } from "./connect_replicas.ts";
import type { OpenEnsembleOptions } from "./ensemble.ts";
import type { ConnectedExpert } from "./open_experts.ts";

/** @throws {TuttiError} if no worker serves the model, or several models are meant */
export async function openDiscovered(
  { name, loras }: EnsembleExpert,
  choice: ModelChoice,
  discovery: LateDiscovery | undefined,
  options: OpenEnsembleOptions,
): Promise<ConnectedExpert> {
  const { signal, onProgress } = options;
  if (discovery === undefined) {
    throw new UsageError(
      `Expert "${name}" is named by its model: --nats must say where its workers are found`,
    );
  }
  const directory = await (await discovery.open()).find(choice, {
    ...(signal && { signal }),
    ...(onProgress && { onWait: onProgress }),
  });
  if (directory.replicas().every(({ isDraining }) => isDraining)) {
    throw new WorkerError(
      "UNAVAILABLE",
      `All workers that serve a model with ${formatChoice(choice)} are draining`,
      { details: { expert: name } },
    );
  }
  return await connectReplicas({ name, directory, ...(loras && { loras }) }, options);
}
