/**
 * The worker's end of the socket planes. Anyone who reaches the address may connect, so a connection is worth nothing until
 * its hello shows a token that a session waits for: one token, one connection.
 *
 * @module
 */

import { TuttiError } from "../../errors.ts";
import type { KeyPair } from "../../security/tls_files.ts";
import { Acceptor } from "./acceptor.ts";
import { closeConn, closingOnError, connError } from "./conn_io.ts";
import type { PlaneEndpoint } from "./dial.ts";
import { checkToken, randomToken, readGreeting, writeGreeting } from "./greeting.ts";
import { PlaneError } from "./plane_error.ts";
import { createSocketPath, removeSocketPath } from "./socket_folder.ts";

/** A connection that has shown its token. Whoever expected it closes it. */
export interface PlaneConnection {
  readonly kind: PlaneEndpoint["kind"];
  readonly conn: Deno.Conn;
  /** What the client was sent: it names this connection to both ends. */
  readonly serverNonce: Uint8Array<ArrayBuffer>;
}

export interface ExpectedPlane {
  /** @throws {TuttiError} CANCELLED, or UNAVAILABLE if the listener is closed or the connection breaks in its greeting */
  readonly connection: Promise<PlaneConnection>;
  /** The token is good for nothing any more. No effect on a connection that is there. */
  cancel(): void;
}

/** Connections that were closed without having shown a token, by reason. */
export interface PlaneRefusals {
  /** Nobody waits for the token. */
  readonly token: number;
  /** Something else than a hello came, or only a part of it. */
  readonly hello: number;
  /** Nothing came in time. */
  readonly silence: number;
  /** Too many newer ones came. */
  readonly crowd: number;
}

export interface PlaneListener extends AsyncDisposable {
  /** Where to dial; `hostname` is the one that was listened on. */
  readonly endpoints: readonly PlaneEndpoint[];
  /** Why an endpoint that was asked for is not there. */
  readonly failures: readonly PlaneError[];
  readonly refusals: PlaneRefusals;
  /** @param token 16 random bytes for one connection */
  expect(token: Uint8Array): ExpectedPlane;
  /**
   * New connections to the tcp plane, at the same port, see this certificate; those that are there go on.
   *
   * @throws {PlaneError} UNAVAILABLE if somebody took the port meanwhile: then there is no tcp plane any more
   */
  renewTls(tls: KeyPair): Promise<void>;
  /** Leaves nothing but the connections that were handed out. */
  close(): Promise<void>;
}

export interface TcpPlaneOptions {
  readonly hostname: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** The certificate that clients check. Without it bytes travel as they are. */
  readonly tls?: KeyPair;
}

export interface PlaneListenerOptions {
  readonly unix: boolean;
  readonly tcp?: TcpPlaneOptions;
  readonly helloTimeoutMs?: number;
}

const HELLO_TIMEOUT_MS = 5000;
const MAX_UNIDENTIFIED = 64;
/** Of TLS. Beyond, nobody is accepted, and clients do without the plane. */
const MAX_HANDSHAKES = 256;

/** Opens what can be opened; see `failures`. */
export async function startPlaneListener(options: PlaneListenerOptions): Promise<PlaneListener> {
  const opened = new SocketListener(options.helloTimeoutMs ?? HELLO_TIMEOUT_MS);
  if (options.unix) await opened.listenUnix();
  if (options.tcp) opened.listenTcp(options.tcp);
  return opened;
}

class SocketListener implements PlaneListener {
  readonly endpoints: PlaneEndpoint[] = [];
  readonly failures: PlaneError[] = [];
  readonly refusals = { token: 0, hello: 0, silence: 0, crowd: 0 };
  readonly #helloTimeoutMs: number;
  /** Greetings under way. */
  readonly #running = new Set<Promise<void>>();
  /** Connections whose TLS handshake has not ended, those that were refused included. */
  readonly #handshakes = new Set<Deno.Conn>();
  /** Settles when there is one less. */
  #room = Promise.withResolvers<void>();
  /** Oldest first, with what refuses it. */
  readonly #unidentified = new Map<Deno.Conn, (reason: keyof PlaneRefusals) => void>();
  /** By token, in hex. */
  readonly #expected = new Map<string, PromiseWithResolvers<PlaneConnection>>();
  #closed: Promise<void> | undefined;
  #socketPath: string | undefined;
  #unix: Acceptor | undefined;
  #tcp: Acceptor | undefined;

  constructor(helloTimeoutMs: number) {
    this.#helloTimeoutMs = helloTimeoutMs;
  }

  async listenUnix(): Promise<void> {
    try {
      const path = await createSocketPath();
      this.#socketPath = path;
      const listener = Deno.listen({ transport: "unix", path });
      this.endpoints.push({ kind: "unix", path });
      this.#unix = this.#accept("unix", listener);
    } catch (error) {
      if (this.#socketPath !== undefined) await removeSocketPath(this.#socketPath);
      this.failures.push(connError(error, "A unix plane cannot be opened"));
    }
  }

  listenTcp({ hostname, port, tls }: TcpPlaneOptions): void {
    try {
      const listener = tls
        ? Deno.listenTls({ hostname, port, cert: tls.cert, key: tls.key })
        : Deno.listen({ hostname, port });
      this.endpoints.push({ kind: "tcp", hostname, port: listener.addr.port });
      this.#tcp = this.#accept("tcp", listener);
    } catch (error) {
      this.failures.push(connError(error, `A tcp plane cannot be opened at ${hostname}:${port}`));
    }
  }

  expect(token: Uint8Array): ExpectedPlane {
    const key = checkToken(token).toHex();
    if (this.#closed) throw closedError();
    if (this.#expected.has(key)) {
      throw new PlaneError("ALREADY_EXISTS", "A plane's token must be new: it is waited for");
    }
    const waiting = Promise.withResolvers<PlaneConnection>();
    // Whether anybody looks is the session's affair.
    waiting.promise.catch(() => {});
    this.#expected.set(key, waiting);
    const cancel = () => {
      if (this.#expected.get(key) !== waiting) return;
      this.#expected.delete(key);
      waiting.reject(new TuttiError("CANCELLED", "The plane is not waited for any more"));
    };
    return { connection: waiting.promise, cancel };
  }

  async renewTls(tls: KeyPair): Promise<void> {
    const index = this.endpoints.findIndex(({ kind }) => kind === "tcp");
    const endpoint = this.endpoints[index];
    if (endpoint?.kind !== "tcp") return;
    // A port has one listener: the old one must be gone before there can be another.
    await this.#tcp!.close();
    if (this.#closed) return;
    this.endpoints.splice(index, 1);
    const failed = this.failures.length;
    this.listenTcp({ ...endpoint, tls });
    if (this.failures.length > failed) throw this.failures[failed];
  }

  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const accepting = [this.#unix?.close(), this.#tcp?.close()];
    for (const conn of [...this.#unidentified.keys(), ...this.#handshakes]) closeConn(conn);
    for (const waiting of this.#expected.values()) waiting.reject(closedError());
    this.#expected.clear();
    await Promise.all([...accepting, ...this.#running]);
    if (this.#socketPath !== undefined) await removeSocketPath(this.#socketPath);
  }

  #accept(kind: PlaneEndpoint["kind"], listener: Deno.Listener): Acceptor {
    return new Acceptor(listener, (conn) => {
      this.#run(this.#identify(kind, conn));
      return this.#handshakes.size < MAX_HANDSHAKES ? undefined : this.#room.promise;
    });
  }

  #run(task: Promise<void>): void {
    this.#running.add(task);
    void task.finally(() => this.#running.delete(task));
  }

  async #identify(kind: PlaneEndpoint["kind"], conn: Deno.Conn): Promise<void> {
    /** What is to be counted, as long as no token was shown. */
    let refusal: keyof PlaneRefusals | undefined = "hello";
    const refused = Promise.withResolvers<void>();
    const refuse = (reason: keyof PlaneRefusals) => {
      refusal = reason;
      this.#unidentified.delete(conn);
      if (!this.#handshakes.has(conn)) closeConn(conn);
      refused.resolve();
    };
    // Who belongs here says so at once; who holds a place for long does not.
    if (this.#unidentified.size >= MAX_UNIDENTIFIED) {
      const [refuseOldest] = this.#unidentified.values();
      refuseOldest!("crowd");
    }
    this.#unidentified.set(conn, refuse);
    const timer = setTimeout(() => refuse("silence"), this.#helloTimeoutMs);
    try {
      if ("handshake" in conn) {
        const handshake = this.#handshake(conn as Deno.TlsConn);
        this.#run(handshake.catch(() => {}));
        await Promise.race([handshake, refused.promise]);
        if (!this.#unidentified.has(conn)) return;
      }
      await closingOnError(conn, undefined, async () => {
        const [token, nonce] = await readGreeting(conn, "hello");
        const key = token.toHex();
        const waiting = this.#expected.get(key);
        if (waiting === undefined) return refuse("token");
        refusal = undefined;
        this.#expected.delete(key);
        await this.#welcome({ kind, conn, serverNonce: randomToken() }, nonce, waiting);
      });
    } catch {
      // It is closed; whoever waits for a token that came has been told.
    } finally {
      clearTimeout(timer);
      this.#unidentified.delete(conn);
      if (refusal !== undefined && !this.#closed) this.refusals[refusal]++;
    }
  }

  /**
   * Deno keeps the descriptor of a connection that is closed within its handshake until its client closes it, and nothing
   * tells when that is. So one that is refused stays open, and counts, until its handshake ends.
   */
  async #handshake(conn: Deno.TlsConn): Promise<void> {
    this.#handshakes.add(conn);
    try {
      await conn.handshake();
    } catch (error) {
      closeConn(conn);
      throw error;
    } finally {
      this.#handshakes.delete(conn);
      if (!this.#unidentified.has(conn)) closeConn(conn);
      this.#room.resolve();
      this.#room = Promise.withResolvers();
    }
  }

  async #welcome(
    plane: PlaneConnection,
    clientNonce: Uint8Array<ArrayBuffer>,
    waiting: PromiseWithResolvers<PlaneConnection>,
  ): Promise<void> {
    try {
      await writeGreeting(plane.conn, "ready", [clientNonce, plane.serverNonce]);
      waiting.resolve(plane);
    } catch (error) {
      const broken = connError(error, "The plane's connection broke");
      waiting.reject(broken);
      throw broken;
    }
  }
}

function closedError(): PlaneError {
  return new PlaneError("UNAVAILABLE", "The plane's listener is closed");
}
