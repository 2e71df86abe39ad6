/** Latents and attention maps as safetensors files. @module */

import { FormatError } from "../../shared/errors.ts";
import { SafetensorsFile } from "../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../shared/safetensors/writer.ts";
import { concatRows, type F32Tensor, toFloat32 } from "../../shared/tensor/tensor.ts";
import type { SegmentReport } from "../sampling/ensemble_forward.ts";

/** Name of the tensor in a file of latents. */
const LATENTS = "latents";

/**
 * The initial latents of `--init-latents`: the tensor "latents", or the only one of the file.
 *
 * @param channels of the latents that the experts take
 * @returns f32 `[B, channels, H, W]`
 * @throws {FormatError} if there is no such tensor
 */
export async function readLatents(path: string, channels: number): Promise<F32Tensor> {
  const file = await SafetensorsFile.open(path);
  const names = [...file.entries.keys()];
  const name = names.length === 1 ? names[0]! : LATENTS;
  if (!file.entries.has(name)) {
    throw new FormatError(
      `File "${path}" must hold a tensor "${LATENTS}": current names are ${
        names.slice(0, 10).join(", ") || "none"
      }`,
    );
  }
  const latents = toFloat32(await file.read(name));
  const { shape } = latents;
  if (shape.length !== 4 || shape[1] !== channels || shape.some((dim) => dim < 1)) {
    throw new FormatError(
      `Tensor "${name}" of "${path}" must be [B, ${channels}, H, W]: current shape is [${shape}]`,
    );
  }
  return latents;
}

/** Writes the latents after the last step, as the U-Net has them (scaled). */
export async function writeLatents(path: string, latents: F32Tensor): Promise<void> {
  await writeSafetensors(path, { [LATENTS]: latents });
}

/** The map of one wave. */
interface MapRows {
  readonly firstRow: number;
  /** f32 `[B, N, h, w]` */
  readonly attentionMap: F32Tensor;
}

/**
 * Collects SABW's attention maps of a run: tensors `000.IN00` (step, block), f32 `[B, N, h, w]`. Of a step that is split
 * into waves the rows are put together again.
 */
export class AttentionMaps {
  readonly #maps = new Map<string, MapRows[]>();

  add({ attentionMap, firstRow, stepIndex, last }: SegmentReport): void {
    if (!attentionMap) return;
    const name = `${String(stepIndex).padStart(3, "0")}.${last}`;
    this.#maps.set(name, [...this.#maps.get(name) ?? [], { firstRow, attentionMap }]);
  }

  /** @param metadata what a reader needs to know: the experts in order, the timesteps */
  async write(path: string, metadata: Readonly<Record<string, string>>): Promise<void> {
    const joined = [...this.#maps].map(([name, parts]) => {
      const inOrder = parts.toSorted((a, b) => a.firstRow - b.firstRow);
      return [name, concatRows(inOrder.map(({ attentionMap }) => attentionMap))];
    });
    await writeSafetensors(path, Object.fromEntries(joined), metadata);
  }
}
