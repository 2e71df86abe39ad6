/** From the workers of one expert to an expert that outlives them. @module */

import type { LoraChoice } from "../../shared/checkpoint/lora/lora_choice.ts";
import { isLoopback, parseAddress } from "../../shared/wire/address.ts";
import { checkRunningLoras } from "../cluster/expert_loras.ts";
import { connectWorkers } from "../cluster/replicas/replica_connection.ts";
import type { ReplicaDirectory } from "../cluster/replicas/replica_directory.ts";
import type { ReplicaPoolOptions } from "../cluster/replicas/replica_pool.ts";
import { openReplicatedExpert } from "../cluster/replicas/replicated_expert.ts";
import { dtypesOnTheWay, type TransportOptions } from "../cluster/tensor_transport.ts";
import type { OpenEnsembleOptions } from "./ensemble.ts";
import type { ConnectedExpert } from "./open_experts.ts";

export interface ReplicatedEntry extends Pick<ReplicaPoolOptions, "parkMs"> {
  readonly name: string;
  readonly loras?: readonly LoraChoice[];
  /** Knows one worker or more. */
  readonly directory: ReplicaDirectory;
}

/** @throws {TuttiError} of the first worker, if none answers, or if they run with other LoRAs */
export async function connectReplicas(
  { name, loras, directory, ...settings }: ReplicatedEntry,
  { transport, replicas, signal }: OpenEnsembleOptions,
): Promise<ConnectedExpert> {
  await using resources = new AsyncDisposableStack();
  const at = directory.replicas().map(({ address }) => address);
  const isElsewhere = at.some((address) => !isLoopback(parseAddress(address)));
  const expert = await openReplicatedExpert({
    ...{ ...replicas, ...settings, name, directory },
    connect: connectWorkers(sameWire(transport, isElsewhere)),
  }, signal);
  resources.defer(() => expert.close());
  const where = at.join(", ");
  if (loras) await checkRunningLoras(loras, expert.description.loras, { name, address: where });
  const owned = resources.move();
  return {
    ...{ name, address: at[0]!, isElsewhere, expert },
    where: name === at.join("+") ? where : `${name} (${where})`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Replicas here and elsewhere get the same numbers: what they are on the way must not change with the worker. */
function sameWire(transport: TransportOptions = {}, isElsewhere: boolean): TransportOptions {
  return { ...transport, ...dtypesOnTheWay(transport, isElsewhere) };
}
