/** Everything that reads bytes from outside. @module */

import type { FuzzTarget } from "../fuzz.ts";
import { ensembleFiles } from "./ensemble_files.ts";
import { grpcCalls } from "./grpc_calls.ts";
import { grpcMessages } from "./grpc_messages.ts";
import { natsPayloads } from "./nats_payloads.ts";
import { planeFrames } from "./plane_frames.ts";
import { planeHellos } from "./plane_hellos.ts";
import { safetensorsFiles } from "./safetensors_files.ts";

export interface TargetEntry {
  readonly name: string;
  readonly open: () => Promise<FuzzTarget>;
  /** Of all mutations, how many go here: what costs a connection gets fewer. */
  readonly share: number;
}

export const FUZZ_TARGETS: readonly TargetEntry[] = [
  { name: "grpc-messages", open: grpcMessages, share: 0.3 },
  { name: "grpc-calls", open: grpcCalls, share: 0.05 },
  { name: "plane", open: planeFrames, share: 0.15 },
  { name: "plane-hellos", open: planeHellos, share: 0.05 },
  { name: "safetensors", open: safetensorsFiles, share: 0.15 },
  { name: "ensemble", open: ensembleFiles, share: 0.1 },
  { name: "nats", open: natsPayloads, share: 0.2 },
];
