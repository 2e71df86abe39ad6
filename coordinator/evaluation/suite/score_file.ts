/** Scores as they come, one picture a line: what a run that was cut off has scored is not scored again. @module */

import { appendFile } from "node:fs/promises";
import { exists } from "../../../shared/checkpoint/exists.ts";
import { FormatError } from "../../../shared/errors.ts";
import { readRegularText } from "../../../shared/regular_file.ts";

export interface PictureScores {
  /** Index of the way of drawing. */
  readonly row: number;
  /** Index of the prompt. */
  readonly prompt: number;
  readonly seed: string;
  /** Path of the picture, relative to the run's folder. */
  readonly picture: string;
  /** What sampling took; absent where the picture was there already. */
  readonly msPerPicture?: number;
  /** By judge. */
  readonly scores: Readonly<Record<string, number>>;
}

export class ScoreFile {
  readonly #path: string;
  readonly #known = new Map<string, PictureScores>();

  private constructor(path: string) {
    this.#path = path;
  }

  /** @throws {FormatError} if it holds what is no score; a last line that was cut off is drawn anew */
  static async open(path: string): Promise<ScoreFile> {
    const file = new ScoreFile(path);
    if (!await exists(path)) return file;
    const text = await readRegularText(path);
    const lines = text.split("\n");
    const whole = lines.slice(0, -1);
    for (const [index, line] of whole.entries()) {
      try {
        file.#add(JSON.parse(line) as PictureScores);
      } catch (cause) {
        throw new FormatError(
          `Line ${
            index + 1
          } of "${path}" is no score: remove the line, and that picture is scored anew`,
          { cause },
        );
      }
    }
    // So that the next line does not go on where the last one was cut off.
    if (lines.at(-1) !== "") {
      await Deno.writeTextFile(path, whole.map((line) => `${line}\n`).join(""));
    }
    return file;
  }

  get all(): readonly PictureScores[] {
    return [...this.#known.values()];
  }

  get(of: Pick<PictureScores, "picture">): PictureScores | undefined {
    return this.#known.get(of.picture);
  }

  async append(scores: PictureScores): Promise<void> {
    await appendFile(this.#path, `${JSON.stringify(scores)}\n`);
    this.#add(scores);
  }

  #add(scores: PictureScores): void {
    this.#known.set(scores.picture, scores);
  }
}
