/**
 * How feature maps travel to workers: which planes are tried, and what the numbers are on the way.
 *
 * @module
 */

import { UsageError } from "../../shared/errors.ts";
import { BLOCK_ID, type BlockSpec } from "../../shared/models/blocks.ts";
import type { TlsFiles } from "../../shared/security/tls_files.ts";
import { isLoopback, parseAddress } from "../../shared/wire/address.ts";
import { WIRE_DTYPES, type WireDtype } from "../../shared/wire/codec/wire_dtype.ts";
import type { Transport, WireDtypes } from "../../shared/wire/convert_plane.ts";
import { type PlaneChoice, wantedPlanes } from "../../shared/wire/plane/plane_kind.ts";
import type { PlaneFallback } from "./choose_plane.ts";

/** What a user may say. */
export interface TransportOptions {
  /** @default "auto" */
  readonly plane?: PlaneChoice;
  /** @default f32 on this host, f16 to others */
  readonly wireDtypes?: Partial<WireDtypes>;
  /** @default f32 on this host, bf16 to others: small gradients underflow in f16 */
  readonly gradientDtype?: GradientDtype;
  /** Told of each plane that was offered and does not work. */
  readonly onFallback?: (fallback: WorkerFallback) => void;
}

/** Those with the range of f32. */
export const GRADIENT_DTYPES = ["f32", "bf16", "int8"] as const satisfies readonly WireDtype[];
export type GradientDtype = typeof GRADIENT_DTYPES[number];

export interface WorkerFallback extends PlaneFallback {
  /** HOST:PORT */
  readonly worker: string;
}

/** What is done for one worker. */
export interface TensorTransport extends Transport {
  /** Of the tcp plane, where the worker has TLS. */
  readonly tls?: TlsFiles;
  readonly onFallback?: (fallback: WorkerFallback) => void;
}

/** What numbers are on the way to an expert. @param isElsewhere whether any worker of it is on another host */
export function dtypesOnTheWay(
  { plane, wireDtypes, gradientDtype }: TransportOptions,
  isElsewhere: boolean,
): { readonly wireDtypes: WireDtypes; readonly gradientDtype: GradientDtype } {
  const { all = isElsewhere ? "f16" : "f32", blocks = new Map() } = wireDtypes ?? {};
  // Whoever insists on shared memory gets what it carries.
  const usualGradients = isElsewhere && plane !== "shm" ? "bf16" : "f32";
  return { wireDtypes: { all, blocks }, gradientDtype: gradientDtype ?? usualGradients };
}

/** @param address of the worker */
export function transportTo(address: string, options: TransportOptions = {}): TensorTransport {
  const { plane = "auto", onFallback } = options;
  const dtypes = dtypesOnTheWay(options, !isLoopback(parseAddress(address)));
  const { wireDtypes: { all, blocks }, gradientDtype } = dtypes;
  // Shared memory carries f32 as it is: who wants less has to have a wire.
  const isExact = [all, ...blocks.values()].every((dtype) => dtype === "f32");
  if (plane === "shm" && !isExact) {
    throw new UsageError(
      `--plane shm carries f32: current --wire-dtype is ${formatWireDtypes({ all, blocks })}`,
    );
  }
  if (plane === "shm" && gradientDtype !== "f32") {
    throw new UsageError(`--plane shm carries f32: current --gradient-dtype is ${gradientDtype}`);
  }
  const planes = wantedPlanes(plane).filter((kind) => kind !== "shm" || isExact);
  return { planes, ...dtypes, ...(onFallback && { onFallback }) };
}

/** The same ways for a job's own numbers: shared memory is none for less than f32. */
export function withWireDtypes(
  address: string,
  transport: TensorTransport,
  wireDtypes: Partial<WireDtypes>,
): TensorTransport {
  // What the job leaves open stays as it is for all workers of the expert, wherever this one is.
  const { all } = transport.wireDtypes;
  const changed = transportTo(address, { wireDtypes: { all, ...wireDtypes } });
  const planes = transport.planes.filter((kind) => changed.planes.includes(kind));
  return { ...transport, planes, wireDtypes: changed.wireDtypes };
}

/** The same ways where gradients travel, too. */
export function withGradients(transport: TensorTransport): TensorTransport {
  if (transport.gradientDtype === "f32") return transport;
  return { ...transport, planes: transport.planes.filter((kind) => kind !== "shm") };
}

/**
 * Reads `auto`, `f16`, `f16,IN00=f32,OUT08=int8` or `auto,OUT08=int8`.
 *
 * @throws {UsageError} if a dtype is unknown
 */
export function parseWireDtypes(text: string): Partial<WireDtypes> {
  const [first = "", ...exceptions] = text.split(",").map((part) => part.trim());
  const blocks = exceptions.map((exception) => {
    const [, block = "", dtype = ""] = /^(.+?)=(.+)$/.exec(exception) ?? [];
    if (!BLOCK_ID.test(block)) throw wrongDtypes(text);
    return [block, dtypeOf(dtype, text)] as const;
  });
  return {
    ...(first !== "auto" && { all: dtypeOf(first, text) }),
    blocks: new Map(blocks),
  };
}

/** @throws {UsageError} if an exception is for a block that the experts do not have */
export function checkWireBlocks(
  { blocks: exceptions }: Partial<WireDtypes>,
  blocks: readonly BlockSpec[],
): void {
  const ids = blocks.map(({ id }) => id);
  const unknown = [...exceptions?.keys() ?? []].find((id) => !ids.includes(id));
  if (unknown === undefined) return;
  throw new UsageError(
    `--wire-dtype must name blocks among ${ids[0]}..${ids.at(-1)}: current value is "${unknown}"`,
  );
}

export function formatWireDtypes({ all = "f32", blocks }: Partial<WireDtypes>): string {
  return [all, ...[...blocks ?? []].map(([block, dtype]) => `${block}=${dtype}`)].join(",");
}

function dtypeOf(name: string, text: string): WireDtype {
  const dtype = WIRE_DTYPES.find((known) => known === name);
  if (dtype) return dtype;
  throw wrongDtypes(text);
}

function wrongDtypes(text: string): UsageError {
  return new UsageError(
    `--wire-dtype must be auto or one of ${WIRE_DTYPES.join(", ")}, and may name blocks as in ` +
      `f16,OUT08=int8: current value is "${text}"`,
  );
}
