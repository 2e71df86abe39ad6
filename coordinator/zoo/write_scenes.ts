/** Pictures of coloured shapes on disk, with their captions. @module */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted } from "../../shared/errors.ts";
import { encodePng } from "../image/png.ts";
import { SeededDraws } from "../training/seeded_draws.ts";
import { drawScene, randomScene, type SceneOptions } from "./shapes.ts";

export interface WriteScenesOptions extends SceneOptions {
  readonly count: number;
  readonly seed: bigint;
  /** Height and width in pixels. */
  readonly size: number;
  readonly signal?: AbortSignal;
}

/** @returns path of the captions, JSON lines as `tutti train` reads them; written last */
export async function writeScenes(
  folder: string,
  { count, seed, size, signal, ...options }: WriteScenesOptions,
): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  const captions = join(folder, "captions.jsonl");
  // What is there may be of other pictures, which would be wrong captions if this ends in the middle.
  await rm(captions, { force: true });
  const lines: string[] = [];
  for (let i = 0; i < count; i++) {
    throwIfAborted(signal);
    const scene = randomScene(new SeededDraws(seed, ["scene", i]), options);
    const name = `${String(i).padStart(6, "0")}.png`;
    const text = { caption: scene.caption };
    await Deno.writeFile(join(folder, name), encodePng({ ...drawScene(scene, size), text }));
    lines.push(JSON.stringify({ image_file: name, text: scene.caption }));
  }
  await Deno.writeTextFile(captions, `${lines.join("\n")}\n`);
  return captions;
}
