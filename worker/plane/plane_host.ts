/**
 * A worker's end of the planes: what it can offer to a session, and what becomes of the offers. Sockets are opened when
 * the first session asks for them.
 *
 * @module
 */

import { isLoopback } from "../../shared/wire/address.ts";
import type { PlaneOffer, PlaneUse } from "../../shared/wire/convert_plane.ts";
import type { ArenaMemory } from "../../shared/engine/session_arena.ts";
import { TuttiError } from "../../shared/errors.ts";
import type { KeyPair } from "../../shared/security/tls_files.ts";
import { closeConn } from "../../shared/wire/plane/conn_io.ts";
import { randomToken } from "../../shared/wire/plane/greeting.ts";
import {
  type ExpectedPlane,
  type PlaneListener,
  startPlaneListener,
} from "../../shared/wire/plane/listener.ts";
import type { PlaneKind } from "../../shared/wire/plane/plane_kind.ts";
import { ARENA_START, hasAnswered, writeQuestion } from "../../shared/wire/plane/region_probe.ts";
import {
  PiecesPlane,
  type PieceStream,
  type SessionPlane,
  SharedMemoryPlane,
  SocketPlane,
} from "../../shared/wire/plane/session_plane.ts";
import { createSharedMemory, type SharedMemory } from "../../shared/wire/plane/shared_memory.ts";
import { sweepSocketFolders } from "../../shared/wire/plane/socket_folder.ts";
import { sweepSharedMemory } from "../../shared/wire/plane/sweep_shared_memory.ts";

export interface PlaneHostOptions {
  /** Planes that may be offered. */
  readonly planes: readonly PlaneKind[];
  /** Where the worker's gRPC port listens: the tcp plane listens there, too. */
  readonly hostname: string;
  /** Of the tcp plane; 0 takes a free one. */
  readonly port: number;
  /** The worker's certificate, where its gRPC port has TLS: the tcp plane has it, too. */
  readonly tls?: KeyPair;
}

/** What a session asks for. */
export interface PlaneRequest {
  /** That the client can use. */
  readonly planes: readonly PlaneKind[];
  /** Address of the client. */
  readonly peerHost: string;
  /** Of the session's feature maps. */
  readonly arenaBytes: number;
}

export class PlaneHost {
  readonly #options: PlaneHostOptions;
  #tls: KeyPair | undefined;
  #listener: Promise<PlaneListener> | undefined;

  private constructor(options: PlaneHostOptions) {
    this.#options = options;
    this.#tls = options.tls;
  }

  /**
   * Removes what killed workers left. A port that the user names is listened on from the start.
   *
   * @throws {TuttiError} UNAVAILABLE if that port cannot be had
   */
  static async open(options: PlaneHostOptions): Promise<PlaneHost> {
    const host = new PlaneHost(options);
    if (options.planes.includes("shm")) sweepSharedMemory();
    if (options.planes.includes("unix")) await sweepSocketFolders();
    if (options.port === 0 || !options.planes.includes("tcp")) return host;
    const { failures: [failure] } = await host.#listen();
    if (!failure) return host;
    await host.close();
    throw failure;
  }

  /** Offers what can be offered: what cannot be opened is left out, and the client takes the next one. */
  async offer({ planes, peerHost, arenaBytes }: PlaneRequest): Promise<OfferedPlanes> {
    const isWanted = (kind: PlaneKind) =>
      planes.includes(kind) && this.#options.planes.includes(kind) &&
      (kind === "tcp" || isLoopback({ host: peerHost, port: 0 }));
    using held = new DisposableStack();
    const offered = held.use(new OfferedPlanes());
    if (isWanted("shm")) offered.addRegion(arenaBytes);
    if (isWanted("unix") || isWanted("tcp")) {
      const listener = await this.#listen();
      for (const endpoint of listener.endpoints) {
        if (isWanted(endpoint.kind)) offered.addSocket(listener, endpoint);
      }
    }
    // From now on they are the caller's.
    held.move();
    return offered;
  }

  /**
   * New connections to the tcp plane see this certificate.
   *
   * @throws {TuttiError} UNAVAILABLE if its port is lost by that
   */
  async renewTls(tls: KeyPair): Promise<void> {
    this.#tls = tls;
    await (await this.#listener)?.renewTls(tls);
  }

  async close(): Promise<void> {
    await (await this.#listener)?.close();
  }

  #listen(): Promise<PlaneListener> {
    const { planes, hostname, port } = this.#options;
    const tls = this.#tls;
    return this.#listener ??= startPlaneListener({
      unix: planes.includes("unix"),
      ...(planes.includes("tcp") && { tcp: { hostname, port, ...(tls && { tls }) } }),
    });
  }
}

/** The planes that one session may still choose from, and the memory that came with them. */
export class OfferedPlanes implements Disposable {
  readonly offers: PlaneOffer[] = [];
  readonly #expected = new Map<PlaneKind, ExpectedPlane>();
  #region: SharedMemory | undefined;
  #question = new Uint8Array();

  /** Where the session must keep its feature maps, whichever plane it takes in the end. */
  get memory(): ArenaMemory | undefined {
    return this.#region && { buffer: this.#region.buffer, byteOffset: ARENA_START };
  }

  addRegion(arenaBytes: number): void {
    const regionBytes = ARENA_START + arenaBytes;
    try {
      this.#region = createSharedMemory(regionBytes);
    } catch (error) {
      if (error instanceof TuttiError) return; // No FFI, or no room: other planes do without.
      throw error;
    }
    this.#question = randomToken();
    writeQuestion(this.#region.buffer, this.#question);
    const { name: address } = this.#region;
    this.offers.push({ plane: "shm", address, token: this.#question, regionBytes });
  }

  addSocket(listener: PlaneListener, endpoint: PlaneListener["endpoints"][number]): void {
    const token = randomToken();
    this.#expected.set(endpoint.kind, listener.expect(token));
    const address = endpoint.kind === "unix" ? endpoint.path : `:${endpoint.port}`;
    this.offers.push({ plane: endpoint.kind, address, token, regionBytes: 0 });
  }

  /**
   * The plane that the client has tried. Afterwards only `grpc` can be taken.
   *
   * @throws {TuttiError} FAILED_PRECONDITION if the plane was not offered, or what should prove that it works does not
   */
  async take({ plane, proof }: PlaneUse, stream: PieceStream): Promise<SessionPlane> {
    switch (plane) {
      case "grpc":
        this.#settle();
        return new PiecesPlane(stream);
      case "shm":
        if (!this.#region || !this.offers.some((offer) => offer.plane === "shm")) {
          throw notProven(plane, "it was not offered");
        }
        if (!hasAnswered(this.#region.buffer, this.#question)) {
          throw notProven(plane, "the region does not hold the token's inverse");
        }
        this.#settle();
        return new SharedMemoryPlane(this.#region);
      case "unix":
      case "tcp": {
        const expected = this.#expected.get(plane);
        if (!expected) throw notProven(plane, "it was not offered");
        // A client that names a proof has had our answer, so the connection is there.
        const { conn, serverNonce } = await connectionOf(expected, plane);
        if (proof.some((byte, i) => byte !== serverNonce[i])) {
          throw notProven(plane, "the proof is not the one that its connection was given");
        }
        this.#expected.delete(plane);
        this.#settle();
        return new SocketPlane(plane, conn);
      }
    }
  }

  /** Nothing that was offered can be had any more. The session's memory stays until the session ends. */
  #settle(): void {
    this.offers.length = 0;
    this.#region?.unlink();
    for (const expected of this.#expected.values()) {
      expected.cancel();
      expected.connection.then(({ conn }) => closeConn(conn), () => {});
    }
    this.#expected.clear();
  }

  /** Once the session is closed. */
  [Symbol.dispose](): void {
    this.#settle();
    this.#region?.[Symbol.dispose]();
  }
}

/** The connection that is there, or none. */
async function connectionOf({ connection }: ExpectedPlane, kind: PlaneKind) {
  const now = Promise.resolve(undefined);
  const found = await Promise.race([connection, now.then(() => now)]);
  if (found) return found;
  throw notProven(kind, "nobody has connected with its token");
}

function notProven(kind: PlaneKind, why: string): TuttiError {
  return new TuttiError("FAILED_PRECONDITION", `The ${kind} plane cannot be used: ${why}`, {
    details: { field: "use_plane", plane: kind },
  });
}
