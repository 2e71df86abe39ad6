/** The pictures of jobs, as files that are named after their job. @module */

import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Ensemble } from "../../ensemble/ensemble.ts";
import type { DrawnImages } from "../../jobs/run_job.ts";
import { storeImages } from "../../jobs/store_images.ts";
import { encodePng } from "../../image/png.ts";
import type { RgbImage } from "../../image/resize.ts";
import { type InitPicture, readInitPicture } from "../../jobs/init_picture.ts";
import { writeWholeFile } from "../../../shared/whole_file.ts";
import type { JobInputs, JobOutput } from "./served_job.ts";
import { readRegularFile } from "../../../shared/regular_file.ts";

/** A job's id, and of several pictures the number. No other name is looked for: none leads out of the folder. */
const NAME = /^([A-Za-z0-9_-]{1,64})(?:\.[1-9][0-9]{0,3})?\.png$/;

export class PictureFolder {
  private constructor(readonly path: string) {}

  static async open(path: string): Promise<PictureFolder> {
    await mkdir(path, { recursive: true, mode: 0o700 });
    return new PictureFolder(path);
  }

  /** Under names that follow from the job: stored twice, the same bytes are in the same place. */
  async store(ensemble: Ensemble, job: string, drawn: DrawnImages): Promise<JobOutput[]> {
    const names = drawn.facts.map((_, i) =>
      drawn.facts.length === 1 ? `${job}.png` : `${job}.${i + 1}.png`
    );
    await storeImages(ensemble, drawn, names.map((name) => join(this.path, name)));
    return await Promise.all(names.map(async (name, i): Promise<JobOutput> => {
      const bytes = await readRegularFile(join(this.path, name));
      const { seed, width, height } = drawn.facts[i]!;
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      return { name, seed: String(seed), width, height, sizeBytes: bytes.length, sha256 };
    }));
  }

  /** What a job starts from, for as long as it takes; no client can ask for these files. */
  async storeInputs(job: string, { image, mask }: InitPicture): Promise<JobInputs> {
    const write = async (name: string, picture: RgbImage) => {
      await writeWholeFile(join(this.path, name), encodePng({ ...picture, text: {} }));
      return name;
    };
    return {
      image: await write(`${job}.init.png`, image),
      ...(mask && { mask: await write(`${job}.mask.png`, mask) }),
    };
  }

  /** @throws {FormatError} if a file is gone or damaged */
  readInputs({ image, mask }: JobInputs): Promise<InitPicture> {
    const path = (name: string) => join(this.path, name);
    return readInitPicture(path(image), mask === undefined ? undefined : path(mask));
  }

  async removeInputs({ image, mask }: JobInputs): Promise<void> {
    for (const name of [image, mask ?? []].flat()) {
      await Deno.remove(join(this.path, name)).catch(() => {/* It is gone already. */});
    }
  }

  /** Of the job that a picture's name begins with; undefined where no picture has such a name. */
  jobOf(name: string): string | undefined {
    return NAME.exec(name)?.[1];
  }

  /** @returns undefined where there is no such picture, or no longer */
  async read(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (!NAME.test(name)) return undefined;
    try {
      return await readRegularFile(join(this.path, name));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  async remove(names: readonly string[]): Promise<void> {
    for (const name of names.filter((each) => NAME.test(each))) {
      await Deno.remove(join(this.path, name)).catch(() => {/* It is gone already. */});
    }
  }
}
