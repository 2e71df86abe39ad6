/**
 * What went wrong with NATS, as an error of ours that says what to do. The library's own messages are a code or less.
 *
 * @module
 */

import { ErrorCode, NatsError } from "nats";
import { type Code, TuttiError } from "../errors.ts";

/** What was tried, and where. */
export interface NatsContext {
  /** As in "connecting". */
  readonly doing: string;
  /** Addresses, for messages. */
  readonly servers: string;
  /** Whether it is asked if JetStream is there at all: no answer is one, then. */
  readonly asksForJetStream?: boolean;
}

/** What a user of NATS must be allowed to publish to and subscribe to: to find workers, and besides for the queue of jobs. */
export const SUBJECTS = {
  workers: ["$KV.tutti_workers.>", "$JS.API.>", "_INBOX.>"],
  jobs: [
    "tutti.jobs.>",
    "$KV.tutti_results.>",
    "$KV.tutti_leases.>",
    "$KV.tutti_checkpoints.>",
    "$O.tutti_checkpoints.>",
    "$O.tutti_pictures.>",
    "$JS.ACK.tutti_jobs.>",
  ],
};

/** Code of our own: the server closed the connection in answer to the login. */
export const HUNG_UP = "HUNG_UP";

interface Meaning {
  readonly code: Code;
  readonly problem: string;
  readonly nextStep: string;
}

const UNREACHABLE: Meaning = {
  code: "UNAVAILABLE",
  problem: "no NATS server answers there",
  nextStep: "Check that nats-server runs and that --nats names its client port (4222 as a rule)",
};

const REFUSED: Meaning = {
  code: "UNAUTHENTICATED",
  problem: "the NATS server refuses this login",
  nextStep: "Give its user and password in the URL (nats://USER:PASSWORD@HOST:PORT), its token " +
    "(nats://TOKEN@HOST:PORT), or --nats-creds FILE",
};

const IS_THE_SERVER =
  "Check that this is a NATS server, and whether it wants a certificate of its clients " +
  "(--nats-cert and --nats-key)";

const NO_JETSTREAM: Meaning = {
  code: "FAILED_PRECONDITION",
  problem: "this NATS server, or this account on it, has no JetStream",
  nextStep: "Start it with JetStream: nats-server --jetstream --store_dir FOLDER",
};

/** JetStream's error codes (https://github.com/nats-io/nats-server, server/errors.json): off for the account, or at all. */
const NOT_ENABLED: ReadonlySet<number> = new Set([10039, 10076]);

const MEANINGS: Readonly<Record<string, Meaning>> = {
  [ErrorCode.ConnectionRefused]: UNREACHABLE,
  [ErrorCode.ConnectionTimeout]: UNREACHABLE,
  [ErrorCode.Disconnect]: UNREACHABLE,
  [ErrorCode.ConnectionClosed]: UNREACHABLE,
  ENOTFOUND: UNREACHABLE,
  EAI_AGAIN: UNREACHABLE,
  EHOSTUNREACH: UNREACHABLE,
  ENETUNREACH: UNREACHABLE,
  ETIMEDOUT: UNREACHABLE,
  ECONNRESET: UNREACHABLE,
  [ErrorCode.Timeout]: {
    code: "UNAVAILABLE",
    problem: "the NATS server does not answer in time",
    nextStep: IS_THE_SERVER,
  },
  [HUNG_UP]: {
    code: "UNAVAILABLE",
    problem: "the server hangs up on the login",
    nextStep: IS_THE_SERVER,
  },
  [ErrorCode.AuthorizationViolation]: REFUSED,
  [ErrorCode.AuthenticationExpired]: REFUSED,
  [ErrorCode.AuthenticationTimeout]: REFUSED,
  [ErrorCode.BadAuthentication]: REFUSED,
  [ErrorCode.BadCreds]: {
    code: "UNAUTHENTICATED",
    problem: "the file of --nats-creds holds no NATS credentials",
    nextStep: "Expected is a .creds file as nsc writes it: a user JWT and its seed",
  },
  [ErrorCode.PermissionsViolation]: {
    code: "PERMISSION_DENIED",
    problem: "this NATS user may not do that",
    nextStep: `Allow it to publish to and subscribe to ${SUBJECTS.workers.join(", ")}, ` +
      `and for the queue of jobs to ${SUBJECTS.jobs.join(", ")}, too`,
  },
  [ErrorCode.MaxPayloadExceeded]: {
    code: "RESOURCE_EXHAUSTED",
    problem: "the message is larger than the NATS server takes",
    nextStep: "Raise max_payload in its configuration (1 MB is its default)",
  },
  [ErrorCode.ServerOptionNotAvailable]: {
    code: "FAILED_PRECONDITION",
    problem: "the NATS server and this URL disagree about TLS",
    nextStep: "Use tls:// for a server that has TLS, nats:// for one that does not",
  },
};

/** What to do about TLS, by what the library or the server's alert says; the first that matches. */
const TLS_STEPS: readonly (readonly [RegExp, string])[] = [
  [
    /fatal alert/i,
    "Give a certificate that an authority of the server has signed with --nats-cert and --nats-key",
  ],
  [/altname/i, "Call the server by a name of its certificate, or make it one for this name"],
  [/expired/i, "Renew the server's certificate"],
  [
    /certificate|self.signed|issuer/i,
    "Give the authority that signed the server's certificate with --nats-ca",
  ],
  [/tls|ssl/i, "Check what the server's log says"],
];

/** Any error of a call to NATS as one with its meaning; errors of ours stay as they are. */
export function natsError(
  error: unknown,
  { doing, servers, asksForJetStream = false }: NatsContext,
): TuttiError {
  if (error instanceof TuttiError) return error;
  const { message, code: name } = error as Error & { code?: string };
  const meaning = name === ErrorCode.JetStreamNotEnabled
    ? meaningOf503(error as NatsError, asksForJetStream)
    : MEANINGS[name ?? ""] ?? meaningOfMessage(String(message ?? error));
  return new TuttiError(
    meaning.code,
    `NATS at ${servers}: ${doing} failed: ${meaning.problem}. ${meaning.nextStep}`,
    { cause: error, details: { servers } },
  );
}

/**
 * The library has one code for a server without JetStream, for one whose JetStream refuses for now, and for a stream that
 * nobody answers for.
 */
function meaningOf503({ api_error: answer }: NatsError, asksForJetStream: boolean): Meaning {
  const isOff = answer ? NOT_ENABLED.has(answer.err_code ?? 0) : asksForJetStream;
  if (isOff) return NO_JETSTREAM;
  return {
    code: "UNAVAILABLE",
    problem: `JetStream does not take it now${answer ? ` (${answer.description})` : ""}`,
    nextStep: "Look at the server's log: its disk may be full, or its cluster without a leader",
  };
}

/** Of codes that the library shares between meanings, or leaves out. */
function meaningOfMessage(message: string): Meaning {
  if (/jetstream not enabled|jetstream-not-enabled/i.test(message)) return NO_JETSTREAM;
  const step = TLS_STEPS.find(([pattern]) => pattern.test(message));
  if (step) {
    return { code: "FAILED_PRECONDITION", problem: `TLS failed (${message})`, nextStep: step[1] };
  }
  return { code: "UNKNOWN", problem: message, nextStep: "Look at the server's log" };
}

/** Whether waiting may help: the server is away, and nothing has to be set up first. */
export function isAway(error: unknown): boolean {
  return error instanceof TuttiError && error.code === "UNAVAILABLE";
}

/** Whether JetStream answered that there is no such stream or message. */
export function isNotFound(error: unknown): boolean {
  return error instanceof NatsError && error.api_error?.code === 404 ||
    (error as Error)?.message === "stream not found";
}
