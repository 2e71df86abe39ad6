/** The flags of commands that talk to workers: how feature maps travel. @module */

import { Option } from "commander";
import { headingOf } from "../../shared/terminal/help_groups.ts";
import type { WireDtypes } from "../../shared/wire/convert_plane.ts";
import {
  parsePlaneChoice,
  PLANE_KINDS,
  type PlaneChoice,
} from "../../shared/wire/plane/plane_kind.ts";
import {
  GRADIENT_DTYPES,
  type GradientDtype,
  parseWireDtypes,
  type TransportOptions,
  type WorkerFallback,
} from "../cluster/tensor_transport.ts";
import { oneOf } from "./flags.ts";

export interface TransportFlags {
  readonly plane: PlaneChoice;
  readonly wireDtype: Partial<WireDtypes>;
  /** Of commands that differentiate. */
  readonly gradientDtype?: GradientDtype;
}

export function planeOption(): Option {
  return new Option(
    "--plane <kind>",
    `how feature maps travel: auto takes the first of ${PLANE_KINDS.join(", ")} that works`,
  ).argParser(parsePlaneChoice).default("auto").helpGroup(headingOf("Network"));
}

export function wireDtypeOption(): Option {
  return new Option(
    "--wire-dtype <dtype>",
    "what feature maps are on the way: auto (f32 on this host, f16 to others), f32, f16, bf16 or int8, " +
      "with exceptions for blocks as in f16,OUT08=int8",
  ).argParser(parseWireDtypes).default({}, "auto").helpGroup(headingOf("Network"));
}

export function gradientDtypeOption(): Option {
  return new Option(
    "--gradient-dtype <dtype>",
    "what gradients are on the way: auto (f32 on this host, bf16 to others), f32, bf16 or int8; " +
      'small ones would underflow in f16 (default: "auto")',
  ).argParser(parseGradientDtype).helpGroup(headingOf("Network"));
}

function parseGradientDtype(text: string): GradientDtype | undefined {
  const dtype = oneOf("--gradient-dtype", ["auto", ...GRADIENT_DTYPES])(text);
  return dtype === "auto" ? undefined : dtype;
}

/** Planes that were offered and did not work: each is told of once per worker, and all are counted. */
export class PlaneFallbacks {
  readonly #warn: (text: string) => void;
  readonly #counts = new Map<string, WorkerFallback & { readonly count: number }>();

  constructor(warn: (text: string) => void) {
    this.#warn = warn;
  }

  /** With the last reason of each. */
  list(): readonly (WorkerFallback & { readonly count: number })[] {
    return [...this.#counts.values()];
  }

  add(fallback: WorkerFallback): void {
    const { worker, plane, reason } = fallback;
    const key = `${worker} ${plane}`;
    const count = (this.#counts.get(key)?.count ?? 0) + 1;
    this.#counts.set(key, { ...fallback, count });
    if (count === 1) this.#warn(`plane ${plane} to worker ${worker} is not used: ${reason}`);
  }
}

export function transportOptions(
  flags: TransportFlags,
  fallbacks: PlaneFallbacks,
): TransportOptions {
  return { ...dtypeOptions(flags), onFallback: (fallback) => fallbacks.add(fallback) };
}

/** What decides bits. */
export function dtypeOptions(
  { plane, wireDtype, gradientDtype }: TransportFlags,
): TransportOptions {
  return { plane, wireDtypes: wireDtype, ...(gradientDtype && { gradientDtype }) };
}
