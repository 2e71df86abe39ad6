/** How far the pictures of each way of drawing are from real ones, as sets. @module */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, throwIfAborted } from "../../../shared/errors.ts";
import { concatRows, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { readImage } from "../../image/read_image.ts";
import type { SetJudge } from "../judges/judge.ts";

const PICTURE = /\.(png|jpe?g|webp)$/i;

/**
 * Paths of the pictures in a folder, by name.
 *
 * @throws {FormatError} if it cannot be read, or has fewer than two
 */
export async function referencePictures(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((cause) => {
    throw new FormatError(`"reference" must be a folder of pictures: cannot read "${folder}"`, {
      cause,
    });
  });
  const pictures = names.filter((name) => PICTURE.test(name)).sort();
  if (pictures.length >= 2) return pictures.map((name) => join(folder, name));
  throw new FormatError(
    `"reference" must be a folder with two pictures or more: "${folder}" has ${pictures.length}`,
  );
}

export interface SetDistanceOptions {
  /** Paths of real pictures. */
  readonly real: readonly string[];
  /** Paths of the pictures of each way of drawing. */
  readonly rows: readonly (readonly string[])[];
  readonly judges: readonly SetJudge[];
  readonly signal?: AbortSignal;
  /** Told how many pictures have been looked at. */
  readonly onProgress: (done: number) => void;
}

/**
 * @returns by row, by name of the distance
 * @throws {FormatError} naming a picture that cannot be read
 */
export async function setDistances(
  { real, rows, judges, signal, onProgress }: SetDistanceOptions,
): Promise<Record<string, number>[]> {
  let done = 0;
  const featuresOf = async (paths: readonly string[]) => {
    const found: F32Tensor[][][] = judges.map(() => []);
    for (const path of paths) {
      throwIfAborted(signal);
      const image = await readImage(path).catch((cause) => {
        throw new FormatError(`Picture "${path}" cannot be read: ${(cause as Error).message}`, {
          cause,
        });
      });
      for (const [i, judge] of judges.entries()) found[i]!.push([...await judge.features(image)]);
      onProgress(++done);
    }
    // By judge, then by feature.
    return found.map((pictures) =>
      pictures[0]!.map((_, k) => concatRows(pictures.map((of) => of[k]!)))
    );
  };
  const ofReal = await featuresOf(real);
  const distancesFrom = judges.map((judge, i) => judge.against(ofReal[i]!));
  const distances: Record<string, number>[] = [];
  for (const row of rows) {
    const ofRow = await featuresOf(row);
    distances.push(Object.fromEntries(judges.flatMap((judge, i) => {
      const values = distancesFrom[i]!(ofRow[i]!);
      return judge.names.map((name, k) => [name, values[k]!]);
    })));
  }
  return distances;
}
