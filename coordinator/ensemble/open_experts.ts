/**
 * From the experts of a plan to connected ones: workers at addresses are connected to; weights on
 * this machine are served by workers that `tutti up` left running, else by one started for this command.
 *
 * @module
 */

import type { Expert } from "../../shared/engine/expert.ts";
import { openLocalExpert } from "../../shared/engine/local_expert.ts";
import { UsageError } from "../../shared/errors.ts";
import { formatAddress } from "../../shared/wire/address.ts";
import { hasOwnCredentials } from "../cluster/credentials.ts";
import type { EnsembleExpert } from "../cluster/ensemble_file.ts";
import { StaticReplicas } from "../cluster/replicas/replica_directory.ts";
import { RunningReplicas } from "../cluster/replicas/running_replicas.ts";
import { spawnWorker } from "../cluster/spawn_worker.ts";
import { findRunningWorkers } from "../cluster/worker_records.ts";
import type { LateDiscovery } from "../discovery/late_discovery.ts";
import type { OpenEnsembleOptions } from "./ensemble.ts";
import { connectReplicas } from "./connect_replicas.ts";
import type { EnsemblePlan } from "./ensemble_plan.ts";
import { openDiscovered } from "./open_discovered.ts";

export interface ConnectedExpert extends AsyncDisposable {
  readonly name: string;
  /** HOST:PORT of its first worker; an expert of this process has none. */
  readonly address?: string;
  /** For messages: name and addresses. */
  readonly where: string;
  /** Whether a worker of it is on another host. */
  readonly isElsewhere: boolean;
  readonly expert: Expert;
}

/**
 * All experts at once, in their order.
 *
 * @throws {TuttiError} of the first expert that cannot be had; the others are closed again
 */
export async function openExperts(
  { experts, security }: Pick<EnsemblePlan, "experts" | "security">,
  options: OpenEnsembleOptions,
  discovery?: LateDiscovery,
): Promise<ConnectedExpert[]> {
  const threads = Math.max(1, Math.floor(navigator.hardwareConcurrency / experts.length));
  // What the file asks of workers here; else those with credentials are called by whoever has some.
  const isSecured = security?.workers ? true : hasOwnCredentials() ? undefined : false;
  const wanted = isSecured === undefined ? {} : { isSecured };
  const opening = experts.map((expert) =>
    openExpert({ ...expert, ...wanted }, threads, options, discovery)
  );
  const opened = await Promise.allSettled(opening);
  const refused = opened.find((result) => result.status === "rejected");
  const connected = opened.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
  if (refused) {
    await Promise.all(connected.map((expert) => expert[Symbol.asyncDispose]()));
    throw refused.reason;
  }
  return connected;
}

/** @property isSecured of workers that run already. @default either */
type WantedExpert = EnsembleExpert & { readonly isSecured?: boolean };

async function openExpert(
  entry: WantedExpert,
  threads: number,
  options: OpenEnsembleOptions,
  discovery: LateDiscovery | undefined,
): Promise<ConnectedExpert> {
  if (entry.choice && !options.isLocal) {
    return await openDiscovered(entry, entry.choice, discovery, options);
  }
  return options.isLocal
    ? await openInProcess(entry, threads, options)
    : await connectOrStart(entry, threads, options, discovery);
}

async function openInProcess(
  { name, model, configFrom, loras }: EnsembleExpert,
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
    ...(configFrom !== undefined && { configFrom }),
    ...(loras && { loras }),
  });
  return {
    ...{ name, where: name, isElsewhere: false, expert },
    [Symbol.asyncDispose]: () => expert.close(),
  };
}

async function connectOrStart(
  { name, model, configFrom, loras, device: own, addresses, isSecured }: WantedExpert,
  threads: number,
  options: OpenEnsembleOptions,
  discovery: LateDiscovery | undefined,
): Promise<ConnectedExpert> {
  const { precision, signal, onProgress } = options;
  const device = own ?? options.device;
  await using resources = new AsyncDisposableStack();
  const findRunning = async () => {
    const wanted = { name, ...(loras && { loras }), ...(isSecured !== undefined && { isSecured }) };
    return (await findRunningWorkers(model!, wanted)).map(({ address }) => address);
  };
  let at = addresses?.map(formatAddress) ?? await findRunning();
  const isOurs = at.length === 0;
  if (isOurs) {
    onProgress?.(`Starting a worker for ${name}`);
    const worker = await spawnWorker({
      model: model!,
      name,
      threads,
      ...(configFrom !== undefined && { configFrom }),
      ...(loras && { loras }),
      ...(device && { device }),
      ...(precision && { precision }),
      ...(signal && { signal }),
    });
    resources.use(worker);
    at = [worker.address];
  }
  // Known as soon as one has answered.
  let modelHash = "";
  const isHere = addresses ? [() => Promise.resolve(at)] : [findRunning];
  const isAnnounced = discovery ? [() => discovery.addressesOf(modelHash)] : [];
  const connected = await connectReplicas({
    name,
    directory: isOurs
      ? new StaticReplicas(at)
      : new RunningReplicas(at, [...isHere, ...isAnnounced]),
    ...(loras && { loras }),
    // Nobody starts a worker again that this command started.
    ...(isOurs && { parkMs: 0 }),
  }, options);
  modelHash = connected.expert.description.modelHash;
  const owned = resources.move();
  return {
    ...connected,
    [Symbol.asyncDispose]: async () => {
      await connected[Symbol.asyncDispose]();
      await owned.disposeAsync();
    },
  };
}
