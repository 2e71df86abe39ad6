/** `--nats` of a worker and what belongs to it: from flags to an announced worker. @module */

import type { Command } from "commander";
import type { ExpertDescription } from "../shared/engine/expert.ts";
import { TuttiError, UsageError } from "../shared/errors.ts";
import { type NatsOptions, natsOptions } from "../shared/nats/nats_options.ts";
import { addNatsOptions, type NatsFlags } from "../shared/nats/nats_flags.ts";
import { stateFolder } from "../shared/state_folder.ts";
import type { Notes } from "../shared/telemetry/logging.ts";
import { isLoopback, parseAddress } from "../shared/wire/address.ts";
import type { PlaneKind } from "../shared/wire/plane/plane_kind.ts";
import { advertisedAddress } from "./listen_address.ts";
import type { RunningWorker } from "./rpc/server.ts";
import { randomId, takeIdentity, type WorkerIdentity } from "./worker_identity.ts";

export interface RegistrationFlags extends NatsFlags {
  readonly listen: string;
  readonly advertise?: string;
  readonly state?: string;
  readonly planes: readonly PlaneKind[];
}

/** A worker that is going to be announced. Disposing takes it back. */
export interface OpenRegistration extends AsyncDisposable {
  start(
    worker: Pick<RunningWorker, "address" | "status">,
    expert: ExpertDescription,
  ): Promise<void>;
}

export function addRegistrationOptions(command: Command): Command {
  return addNatsOptions(command, "announce this worker over NATS, so that coordinators find it")
    .option(
      "--advertise <host:port>",
      "with --nats: the address to announce, port 0 for the one that was taken (default: where it listens)",
    )
    .option(
      "--state <folder>",
      "with --nats: where the worker's id is kept (default: $XDG_STATE_HOME/tutti)",
    );
}

/**
 * Connects to NATS, before a model is loaded: what is wrong with the flags should not wait for that.
 *
 * @param notes told when something changes
 * @returns `undefined` without `--nats`
 * @throws {UsageError} if flags are wrong
 * @throws {TuttiError} if NATS refuses the login or has no JetStream
 */
export async function openRegistration(
  flags: RegistrationFlags,
  notes: Notes,
): Promise<OpenRegistration | undefined> {
  const options = await natsOptions(flags, "tutti worker");
  if (options === undefined) {
    if (flags.advertise === undefined) return undefined;
    throw new UsageError(
      "--advertise needs --nats: without it there is nobody to tell the address to",
    );
  }
  const advertised = advertisedAddress(flags.listen, flags.advertise);
  warnOfLoopback(advertised, options, notes);
  await using resources = new AsyncDisposableStack();
  // Workers without NATS need no client.
  const { Registration } = await import("./registration.ts");
  const registration = await Registration.open(options, {
    onNotice: (text, kind) => notes[kind](text),
  });
  let identity: WorkerIdentity | undefined;
  resources.defer(() => identity?.[Symbol.dispose]());
  resources.use(registration);
  const owned = resources.move();
  return {
    start: async ({ address, status }, expert) => {
      identity = await identityOf(flags.state, expert.name, notes);
      registration.start({
        id: identity.id,
        address: advertisedAddress(address, flags.advertise),
        planes: flags.planes,
        expert,
        status,
      });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A folder that the user names must work; without one an id for this run does. */
async function identityOf(
  state: string | undefined,
  name: string,
  notes: Notes,
): Promise<WorkerIdentity> {
  if (state !== undefined) return await takeIdentity(state, name);
  try {
    return await takeIdentity(stateFolder(), name);
  } catch (error) {
    notes.warn(`${TuttiError.from(error).message}. This worker has another id after a restart`);
    return { id: randomId(), [Symbol.dispose]: () => {} };
  }
}

function warnOfLoopback(
  advertised: string,
  { list }: NatsOptions,
  notes: Notes,
): void {
  const isAlone = isLoopback(parseAddress(advertised, { anyPort: true }));
  if (!isAlone || list.servers.every(isLoopback)) return;
  notes.warn(
    `${advertised} is announced, which only this machine can reach: ` +
      "listen elsewhere (--listen), or say how others reach this worker (--advertise)",
  );
}
