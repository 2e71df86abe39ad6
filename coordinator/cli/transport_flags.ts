/** The flags of commands that talk to workers: how feature maps travel. @module */

import { Option } from "commander";
import type { WireDtypes } from "../../shared/wire/convert_plane.ts";
import {
  parsePlaneChoice,
  PLANE_KINDS,
  type PlaneChoice,
} from "../../shared/wire/plane/plane_kind.ts";
import {
  parseWireDtypes,
  type TransportOptions,
  type WorkerFallback,
} from "../cluster/tensor_transport.ts";

export interface TransportFlags {
  readonly plane: PlaneChoice;
  readonly wireDtype: Partial<WireDtypes>;
}

export function planeOption(): Option {
  return new Option(
    "--plane <kind>",
    `how feature maps travel: auto takes the first of ${PLANE_KINDS.join(", ")} that works`,
  ).argParser(parsePlaneChoice).default("auto");
}

export function wireDtypeOption(): Option {
  return new Option(
    "--wire-dtype <dtype>",
    "what feature maps are on the way: auto (f32 on this host, f16 to others), f32, f16, bf16 or int8, " +
      "with exceptions for blocks as in f16,OUT08=int8",
  ).argParser(parseWireDtypes).default({}, "auto");
}

/** @param warn told of each plane that was offered and does not work, once per worker */
export function transportOptions(
  { plane, wireDtype }: TransportFlags,
  warn: (text: string) => void,
): TransportOptions {
  const told = new Set<string>();
  const onFallback = ({ worker, plane, reason }: WorkerFallback) => {
    const key = `${worker} ${plane}`;
    if (told.has(key)) return;
    told.add(key);
    warn(`plane ${plane} to worker ${worker} is not used: ${reason}`);
  };
  return { plane, wireDtypes: wireDtype, onFallback };
}
