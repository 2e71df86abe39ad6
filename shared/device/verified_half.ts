/**
 * On which devices `tutti verify --precision f16` has passed: what `--precision auto` goes by. Small graphs that come out
 * right say little about a whole model.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { exists } from "../checkpoint/exists.ts";
import type { Device } from "../lane/protocol.ts";
import { stateFolder } from "../state_folder.ts";

/** What a pass holds for: another runtime or adapter has to pass anew. */
export interface VerifiedDevice {
  readonly device: Device;
  /** Version of ONNX Runtime. */
  readonly runtime: string;
  /** Empty where the device has no name. */
  readonly adapter: string;
}

/** Remembers that all checks passed there. */
export async function rememberVerified(verified: VerifiedDevice): Promise<void> {
  const path = recordOf(verified);
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, JSON.stringify(verified) + "\n");
}

/** Forgets it: they passed once, and do not any more. */
export async function forgetVerified(verified: VerifiedDevice): Promise<void> {
  await Deno.remove(recordOf(verified)).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

export async function isVerified(verified: VerifiedDevice): Promise<boolean> {
  return await exists(recordOf(verified));
}

function recordOf({ device, runtime, adapter }: VerifiedDevice): string {
  const key = createHash("sha256").update([device, runtime, adapter].join("\n")).digest("hex");
  return join(stateFolder(), "verified-f16", `${key.slice(0, 16)}.json`);
}
