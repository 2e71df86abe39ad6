/**
 * A connection to NATS that lasts: the first attempt fails with an error that says what to do, and once it stands it comes
 * back by itself for as long as the process lives.
 *
 * @module
 */

import { credsAuthenticator, type JetStreamManager, type NatsConnection, NatsError } from "nats";
import { throwIfAborted, TuttiError } from "../errors.ts";
import { roleLogger } from "../telemetry/logging.ts";
import { formatAddress } from "../wire/address.ts";
import { HUNG_UP, natsError } from "./nats_errors.ts";
import type { NatsOptions } from "./nats_options.ts";
import { formatServerList } from "./server_list.ts";
import { connectNats, isHungUp, type WholeOptions } from "./whole_transport.ts";

/** Longest time that one attempt to connect takes, ms. */
export const CONNECT_TIMEOUT_MS = 5_000;
/** A server that leaves two pings in a row without an answer is taken for lost at the third, ms. */
const PING_INTERVAL_MS = 2_000;
/** Waits between attempts to reconnect: the first one, and the longest one, ms. */
const RECONNECT_MIN_MS = 100;
const RECONNECT_MAX_MS = 2_000;
/** Answers of JetStream come in milliseconds, ms. */
export const JETSTREAM_TIMEOUT_MS = 2_000;

/** A connection that stands or comes back. */
export class Nats implements AsyncDisposable {
  readonly connection: NatsConnection;
  /** Addresses, for messages. */
  readonly servers: string;
  readonly #listeners = new Set<(isConnected: boolean) => void>();
  readonly #backOff: BackOff;
  #isConnected = true;

  private constructor(connection: NatsConnection, servers: string, backOff: BackOff) {
    this.connection = connection;
    this.servers = servers;
    this.#backOff = backOff;
    void this.#follow();
  }

  /** @throws {TuttiError} UNAVAILABLE if no server answers; UNAUTHENTICATED if it refuses the login */
  static async connect(options: NatsOptions): Promise<Nats> {
    const { list, files, name, signal } = options;
    throwIfAborted(signal);
    const servers = formatServerList(list);
    const backOff = new BackOff();
    const logger = roleLogger("nats");
    let alert: Error | undefined;
    const settings: WholeOptions = {
      servers: list.servers.map(formatAddress),
      name,
      timeout: CONNECT_TIMEOUT_MS,
      pingInterval: PING_INTERVAL_MS,
      maxReconnectAttempts: -1,
      // A password that is being changed is wrong for a while.
      ignoreAuthErrorAbort: true,
      reconnectDelayHandler: () => backOff.delayMs(),
      ...(files.creds
        ? { authenticator: (nonce) => credsAuthenticator(files.creds!)(nonce) }
        : list.login),
      // An object demands TLS; without one it is taken where a server has it.
      ...((files.tls || list.isTls) && { tls: {} }),
      beforeDial: () => files.renew((text) => logger.warn`${text}`, areCreds),
      tlsFiles: () => files.tls,
      onTlsAlert: (error) => alert ??= error,
    };
    try {
      const connection = await unlessAborted(connectNats(settings), signal);
      return new Nats(connection, servers, backOff);
    } catch (error) {
      const hungUp = new NatsError("the server hung up", HUNG_UP);
      const reason = isHungUp(error) ? alert ?? hungUp : error;
      throw natsError(reason, { doing: "connecting", servers });
    }
  }

  /** False while the server is away. */
  get isConnected(): boolean {
    return this.#isConnected && !this.connection.isClosed();
  }

  /** @returns what ends it */
  onChange(listener: (isConnected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** @throws {TuttiError} FAILED_PRECONDITION if the server has no JetStream */
  async jetStream(): Promise<JetStreamManager> {
    try {
      return await this.connection.jetstreamManager({ timeout: JETSTREAM_TIMEOUT_MS });
    } catch (error) {
      const { servers } = this;
      throw natsError(error, { doing: "looking for JetStream", servers, asksForJetStream: true });
    }
  }

  /** An error of a call over this connection, with its meaning. */
  error(error: unknown, doing: string): TuttiError {
    return natsError(error, { doing, servers: this.servers });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear();
    await this.connection.close();
  }

  async #follow(): Promise<void> {
    for await (const { type } of this.connection.status()) {
      if (type === "disconnect") this.#change(false);
      if (type === "reconnect") this.#change(true);
    }
  }

  #change(isConnected: boolean): void {
    if (isConnected === this.#isConnected) return;
    this.#isConnected = isConnected;
    if (!isConnected) this.#backOff.start();
    for (const listener of this.#listeners) listener(isConnected);
  }
}

/** The library ends a connection for good whose login throws. */
function areCreds(creds: Uint8Array): boolean {
  try {
    credsAuthenticator(creds)("nonce");
    return true;
  } catch {
    return false;
  }
}

/**
 * How long to wait for the next attempt: a quarter of the time that the server has been away, so that a short absence costs
 * little and a long one is asked about every other second. Each process has a factor of its own, so that a fleet does not
 * come back all at once.
 */
class BackOff {
  readonly #spread = 0.5 + Math.random() / 2;
  #since = performance.now();

  start(): void {
    this.#since = performance.now();
  }

  delayMs(): number {
    const awayMs = performance.now() - this.#since;
    const wait = Math.min(RECONNECT_MAX_MS, Math.max(RECONNECT_MIN_MS, awayMs / 4));
    return wait * this.#spread;
  }
}

/** Whoever gives up does not wait for the attempt to end; a connection that comes late is closed. */
async function unlessAborted(
  connecting: Promise<NatsConnection>,
  signal: AbortSignal | undefined,
): Promise<NatsConnection> {
  if (!signal) return await connecting;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => {
    connecting.then((connection) => connection.close(), () => {});
    reject(new TuttiError("CANCELLED", "The operation was cancelled"));
  };
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([connecting, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
