/**
 * From the experts of a plan to connected ones: a worker at an address is connected to; weights on
 * this machine are served by a worker that `tutti up` left running, else by one started for this command.
 *
 * @module
 */

import type { Expert } from "../../shared/engine/expert.ts";
import { openLocalExpert } from "../../shared/engine/local_expert.ts";
import { UsageError } from "../../shared/errors.ts";
import { formatAddress, isLoopback, parseAddress } from "../../shared/wire/address.ts";
import type { EnsembleExpert } from "../cluster/ensemble_file.ts";
import { checkRunningLoras } from "../cluster/expert_loras.ts";
import { connectExpert } from "../cluster/remote_expert.ts";
import { spawnWorker } from "../cluster/spawn_worker.ts";
import { findRunningWorker } from "../cluster/worker_records.ts";
import type { Discovery } from "../discovery/discovery.ts";
import type { OpenEnsembleOptions } from "./ensemble.ts";
import { openDiscovered } from "./open_discovered.ts";

export interface ConnectedExpert extends AsyncDisposable {
  readonly name: string;
  /** HOST:PORT of its worker; an expert of this process has none. */
  readonly address?: string;
  /** For messages: name and address. */
  readonly where: string;
  /** Whether its worker is on another host. */
  readonly isElsewhere: boolean;
  readonly expert: Expert;
}

/**
 * All experts at once, in their order.
 *
 * @throws {TuttiError} of the first expert that cannot be had; the others are closed again
 */
export async function openExperts(
  experts: readonly EnsembleExpert[],
  options: OpenEnsembleOptions,
  discovery?: Discovery,
): Promise<ConnectedExpert[]> {
  const threads = Math.max(1, Math.floor(navigator.hardwareConcurrency / experts.length));
  const opening = experts.map((expert) => openExpert(expert, threads, options, discovery));
  const opened = await Promise.allSettled(opening);
  const refused = opened.find((result) => result.status === "rejected");
  const connected = opened.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
  if (refused) {
    await Promise.all(connected.map((expert) => expert[Symbol.asyncDispose]()));
    throw refused.reason;
  }
  return connected;
}

async function openExpert(
  entry: EnsembleExpert,
  threads: number,
  options: OpenEnsembleOptions,
  discovery: Discovery | undefined,
): Promise<ConnectedExpert> {
  if (entry.choice && !options.isLocal) {
    return await openDiscovered(entry, entry.choice, discovery, options);
  }
  return options.isLocal
    ? await openInProcess(entry, threads, options)
    : await connectOrStart(entry, threads, options);
}

async function openInProcess(
  { name, model, loras }: EnsembleExpert,
  threads: number,
  { device = "cpu", precision }: OpenEnsembleOptions,
): Promise<ConnectedExpert> {
  if (model === undefined) {
    throw new UsageError(
      `--local needs the weights of every expert on this machine: "${name}" has none`,
    );
  }
  const expert = await openLocalExpert({
    ...{ model, name, device, threads, lanes: 1 },
    ...(precision && { precision }),
    ...(loras && { loras }),
  });
  return {
    ...{ name, where: name, isElsewhere: false, expert },
    [Symbol.asyncDispose]: () => expert.close(),
  };
}

async function connectOrStart(
  { name, model, loras, address }: EnsembleExpert,
  threads: number,
  { device, precision, transport, signal, onProgress }: OpenEnsembleOptions,
): Promise<ConnectedExpert> {
  await using resources = new AsyncDisposableStack();
  let at = address === undefined ? undefined : formatAddress(address);
  at ??= (await findRunningWorker(model!, { name, ...(loras && { loras }) }))?.address;
  if (at === undefined) {
    onProgress?.(`Starting a worker for ${name}`);
    const options = {
      model: model!,
      name,
      threads,
      ...(loras && { loras }),
      ...(device && { device }),
      ...(precision && { precision }),
      ...(signal && { signal }),
    };
    const worker = resources.use(await spawnWorker(options));
    at = worker.address;
  }
  const expert = await connectExpert(at, {
    ...(transport && { transport }),
    ...(signal && { signal }),
  });
  resources.defer(() => expert.close());
  if (loras) await checkRunningLoras(loras, expert.description.loras, { name, address: at });
  const owned = resources.move();
  return {
    name,
    address: at,
    where: name === at ? at : `${name} (${at})`,
    isElsewhere: !isLoopback(parseAddress(at)),
    expert,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
