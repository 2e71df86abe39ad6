/**
 * The first question to a worker: is anyone there, is it one of ours, do we speak the same protocol, who
 * is the expert. Every way in which that fails has a message with the next step to take.
 *
 * @module
 */

import { status } from "@grpc/grpc-js";
import { TuttiError, WorkerError } from "../../shared/errors.ts";
import {
  descriptionFromMessage,
  versionsFromDescription,
  type WorkerDescription,
} from "../../shared/wire/convert_description.ts";
import {
  commonProtocol,
  formatProtocol,
  PROTOCOL,
  TUTTI_VERSION,
} from "../../shared/wire/version.ts";
import { delay } from "./delay.ts";
import { wrongAnswer } from "./call_errors.ts";
import { LOADING_POLL_MS } from "./deadlines.ts";
import { tlsTrouble } from "./tls_trouble.ts";
import type { WorkerClient } from "./worker_client.ts";

const CONTEXT = { doing: "describing its expert" };

/** Statuses that something other than a Tutti worker gives: gRPC servers without our service, and web servers. */
const FOREIGN: ReadonlySet<number> = new Set([
  status.UNIMPLEMENTED,
  status.UNKNOWN,
  status.INTERNAL,
  status.RESOURCE_EXHAUSTED,
  status.UNAUTHENTICATED,
  status.PERMISSION_DENIED,
]);

/** @throws {WorkerError} UNAVAILABLE or FAILED_PRECONDITION */
export async function describeWorker(
  client: WorkerClient,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<WorkerDescription> {
  const message = await askUntilLoaded(client, timeoutMs, signal);
  let versions;
  try {
    versions = versionsFromDescription(message);
  } catch (error) {
    throw wrongAnswer(error, client.address, CONTEXT);
  }
  if (commonProtocol(PROTOCOL, versions.protocol) === undefined) {
    const older = versions.protocol.max < PROTOCOL.min ? "the worker" : "this side";
    throw new WorkerError(
      "FAILED_PRECONDITION",
      `Worker ${client.address} (Tutti ${versions.tutti}) speaks protocol ` +
        `${formatProtocol(versions.protocol)}, and this is Tutti ${TUTTI_VERSION} with protocol ` +
        `${formatProtocol(PROTOCOL)}: update ${older}`,
      { details: { worker: client.address, field: "versions.protocol" } },
    );
  }
  try {
    return descriptionFromMessage(message);
  } catch (error) {
    throw wrongAnswer(error, client.address, CONTEXT);
  }
}

async function askUntilLoaded(
  client: WorkerClient,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const deadlineMs = Math.max(1, end - performance.now());
    try {
      return await client.unary("Describe", {}, { deadlineMs, signal, context: CONTEXT });
    } catch (error) {
      const typed = TuttiError.from(error);
      const loading = typed.details.state === "loading";
      if (!loading || performance.now() + LOADING_POLL_MS > end) {
        throw await connectFailed(typed, client, timeoutMs);
      }
      await delay(LOADING_POLL_MS, signal);
    }
  }
}

/** Says what a failed first call means for someone who typed an address. */
export async function connectFailed(
  error: TuttiError,
  { address: worker, credentials }: Pick<WorkerClient, "address" | "credentials">,
  timeoutMs: number,
): Promise<TuttiError> {
  // Without a status of gRPC's own, the worker itself spoke (it is stopping, say), or we cancelled.
  const grpcStatus = error instanceof WorkerError ? statusOf(error.cause) : undefined;
  if (grpcStatus === undefined) return error;
  if (grpcStatus === status.UNAVAILABLE || grpcStatus === status.DEADLINE_EXCEEDED) {
    const trouble = await tlsTrouble(worker, credentials.tls);
    if (trouble) return trouble;
  }
  const options = { cause: error, details: { worker } };
  const reason = reasonOf(error.cause);
  if (FOREIGN.has(grpcStatus)) {
    return new WorkerError(
      "FAILED_PRECONDITION",
      `What answers at ${worker} is no Tutti worker (${reason}): check the port, ` +
        "a worker prints its address when it is ready",
      options,
    );
  }
  if (grpcStatus === status.DEADLINE_EXCEEDED) {
    return new WorkerError(
      "UNAVAILABLE",
      `Nothing at ${worker} answered as a Tutti worker within ${timeoutMs / 1000} s: ` +
        "check host, port and firewall",
      options,
    );
  }
  return new WorkerError(
    "UNAVAILABLE",
    `No worker can be reached at ${worker} (${reason}): start one there with ` +
      `"tutti worker --model DIR --listen ${worker}", or correct the address`,
    options,
  );
}

function statusOf(cause: unknown): number | undefined {
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === "number" ? code : undefined;
}

/** gRPC's own words, without the date that it appends to them. */
function reasonOf(cause: unknown): string {
  const details = String((cause as { details?: unknown }).details ?? "no reason given");
  const last = /Last error: (?:Error: )?(.*)$/.exec(details)?.[1] ?? details;
  return last.replace(/\. Resolution note: .*$/, "").replace(/ \(\d{4}-\d\d-\d\dT[^)]*\).*$/, "");
}
