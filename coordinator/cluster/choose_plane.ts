/**
 * The coordinator's end of the planes: tries what a worker offers, the best first, and takes the first that works. A plane
 * that was offered and does not work is told of once, and never an error unless the user wants that one.
 *
 * @module
 */

import { TuttiError } from "../../shared/errors.ts";
import type { TlsFiles } from "../../shared/security/tls_files.ts";
import type { PlaneOffer, PlaneUse } from "../../shared/wire/convert_plane.ts";
import { dialPlane, type PlaneEndpoint } from "../../shared/wire/plane/dial.ts";
import type { PlaneKind } from "../../shared/wire/plane/plane_kind.ts";
import { answerQuestion, ARENA_START } from "../../shared/wire/plane/region_probe.ts";
import {
  PiecesPlane,
  type PieceStream,
  type SessionPlane,
  SharedMemoryPlane,
  SocketPlane,
} from "../../shared/wire/plane/session_plane.ts";
import { checkSocketPath } from "../../shared/wire/plane/socket_folder.ts";
import { openSharedMemory } from "../../shared/wire/plane/shared_memory.ts";
import type { ArenaMemory } from "../../shared/engine/session_arena.ts";
import { PLANE_TIMEOUT_MS } from "./deadlines.ts";
import { StreamEnded } from "./event_stream.ts";

export interface ChosenPlane {
  readonly plane: SessionPlane;
  /** The session's arena, where both ends have it in common. */
  readonly memory?: ArenaMemory;
}

export interface PlaneAttempt {
  /** HOST of the worker's address. */
  readonly host: string;
  /** Where the worker's gRPC port has TLS: its tcp plane has it, too. */
  readonly tls?: TlsFiles;
  readonly offers: readonly PlaneOffer[];
  readonly stream: PieceStream;
  /** Asks the worker to use what was tried. @throws {TuttiError} if it does not agree */
  use(use: PlaneUse): Promise<void>;
  readonly signal: AbortSignal;
}

/** A plane that was offered, and why it is not used. */
export interface PlaneFallback {
  readonly plane: PlaneKind;
  readonly reason: string;
}

/**
 * @param wanted kinds in the order of trying
 * @param onFallback told of each that was offered and does not work
 * @returns undefined if none of them can be had
 */
export async function choosePlane(
  wanted: readonly PlaneKind[],
  attempt: PlaneAttempt,
  onFallback: (fallback: PlaneFallback) => void,
): Promise<ChosenPlane | undefined> {
  for (const kind of wanted) {
    const offer = attempt.offers.find(({ plane }) => plane === kind);
    if (!offer && kind !== "grpc") continue;
    try {
      return await tryPlane(kind, offer, attempt);
    } catch (error) {
      if (attempt.signal.aborted || error instanceof StreamEnded) throw error;
      onFallback({ plane: kind, reason: TuttiError.from(error).message });
    }
  }
  return undefined;
}

async function tryPlane(
  kind: PlaneKind,
  offer: PlaneOffer | undefined,
  attempt: PlaneAttempt,
): Promise<ChosenPlane> {
  const none = new Uint8Array();
  switch (kind) {
    case "grpc":
      await attempt.use({ plane: kind, proof: none });
      return { plane: new PiecesPlane(attempt.stream) };
    case "shm": {
      const region = openSharedMemory(offer!.address, offer!.regionBytes);
      try {
        if (!answerQuestion(region.buffer, offer!.token)) {
          throw new TuttiError("FAILED_PRECONDITION", "the region is not the one that was offered");
        }
        await attempt.use({ plane: kind, proof: none });
      } catch (error) {
        region[Symbol.dispose]();
        throw error;
      }
      const memory = { buffer: region.buffer, byteOffset: ARENA_START };
      return { plane: new SharedMemoryPlane(region), memory };
    }
    case "unix":
    case "tcp": {
      const endpoint = await endpointOf(kind, offer!.address, attempt);
      const { conn, serverNonce } = await dialPlane(
        endpoint,
        offer!.token,
        PLANE_TIMEOUT_MS,
        attempt.signal,
      );
      const plane = new SocketPlane(kind, conn);
      try {
        await attempt.use({ plane: kind, proof: serverNonce });
      } catch (error) {
        plane.close();
        throw error;
      }
      return { plane };
    }
  }
}

/**
 * A worker names a port of the host where it was called, or a socket in a private folder: it cannot send us elsewhere.
 *
 * @throws {TuttiError} INVALID_ARGUMENT if it names something else
 */
async function endpointOf(
  kind: "unix" | "tcp",
  address: string,
  { host: hostname, tls }: PlaneAttempt,
): Promise<PlaneEndpoint> {
  if (kind === "unix") {
    await checkSocketPath(address);
    return { kind, path: address };
  }
  const port = /^:([1-9][0-9]{0,4})$/.exec(address)?.[1];
  if (port === undefined) {
    throw new TuttiError(
      "INVALID_ARGUMENT",
      `Address of a tcp plane must be ":PORT", on the worker's own host: current address is ${
        JSON.stringify(address.slice(0, 120))
      }`,
    );
  }
  return { kind, hostname, port: Number(port), ...(tls && { tls }) };
}
