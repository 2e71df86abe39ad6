/**
 * The client's end of a socket plane: connects, shows the token, and checks that the server answers with the nonce.
 *
 * @module
 */

import { throwIfAborted, TuttiError } from "../../errors.ts";
import { closeConn, closingOnError, connError } from "./conn_io.ts";
import { checkToken, type Greeting, randomToken, readGreeting, writeGreeting } from "./greeting.ts";
import { mismatch, PlaneError } from "./plane_error.ts";

export type PlaneEndpoint =
  | { readonly kind: "unix"; readonly path: string }
  | TcpEndpoint;

export interface TcpEndpoint {
  readonly kind: "tcp";
  readonly hostname: string;
  readonly port: number;
  /** Where the server has TLS: authorities one of which must have signed its certificate, PEM; none for the public ones. */
  readonly tls?: { readonly ca?: string };
}

export interface DialedPlane {
  /** Whoever dialed closes it. */
  readonly conn: Deno.Conn;
  /** What the server sent: it names this connection to both ends. */
  readonly serverNonce: Uint8Array<ArrayBuffer>;
}

/**
 * @param token 16 bytes that the server expects
 * @throws {TuttiError} UNAVAILABLE if nobody answers there or the token is refused, DEADLINE_EXCEEDED, CANCELLED,
 * INVALID_ARGUMENT or DATA_LOSS if who answers is not a plane that knows the nonce
 */
export async function dialPlane(
  endpoint: PlaneEndpoint,
  token: Uint8Array,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<DialedPlane> {
  const hello: Greeting = [checkToken(token), randomToken()];
  throwIfAborted(signal);
  const stop = new AbortController();
  const abort = () => stop.abort();
  const timer = setTimeout(abort, timeoutMs);
  signal?.addEventListener("abort", abort);
  try {
    const conn = await connect(endpoint, stop.signal);
    return await closingOnError(conn, stop.signal, () => greet(conn, hello));
  } catch (error) {
    if (signal?.aborted || !(error instanceof TuttiError) || error.code !== "CANCELLED") {
      throw error;
    }
    const { kind } = endpoint;
    throw new PlaneError("DEADLINE_EXCEEDED", `No ${kind} plane within ${timeoutMs} ms`);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

async function connect(endpoint: PlaneEndpoint, stop: AbortSignal): Promise<Deno.Conn> {
  const connecting = connectTo(endpoint, stop);
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const onStop = () => reject(new TuttiError("CANCELLED", "The operation was cancelled"));
  stop.addEventListener("abort", onStop);
  try {
    return await Promise.race([connecting, stopped]);
  } catch (error) {
    // What is connected too late is of no use.
    connecting.then(closeConn, () => {});
    throwIfAborted(stop);
    throw connError(error, `The ${endpoint.kind} plane cannot be reached`);
  } finally {
    stop.removeEventListener("abort", onStop);
  }
}

async function connectTo(endpoint: PlaneEndpoint, signal: AbortSignal): Promise<Deno.Conn> {
  if (endpoint.kind === "unix") {
    return await Deno.connect({ transport: "unix", path: endpoint.path });
  }
  const { hostname, port, tls } = endpoint;
  if (tls) {
    const caCerts = tls.ca === undefined ? [] : [tls.ca];
    const conn = await Deno.connectTls({ hostname, port, caCerts });
    // A certificate that is not the worker's is said to be so before a token is shown.
    try {
      await conn.handshake();
      return conn;
    } catch (error) {
      closeConn(conn);
      throw error;
    }
  }
  const conn = await Deno.connect({ hostname, port, signal });
  conn.setNoDelay(true);
  return conn;
}

async function greet(conn: Deno.Conn, hello: Greeting): Promise<DialedPlane> {
  await writeGreeting(conn, "hello", hello);
  const [echo, serverNonce] = await readGreeting(conn, "ready");
  const nonce = hello[1];
  if (echo.some((byte, i) => byte !== nonce[i])) {
    throw mismatch("INVALID_ARGUMENT", "Echo of the nonce", nonce.toHex(), echo.toHex());
  }
  return { conn, serverNonce };
}
