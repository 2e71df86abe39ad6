/** A session takes one range at a time: two at once would take each other's skips, or each other's replica. @module */

import { TuttiError } from "../errors.ts";
import type { ForwardRange } from "./expert.ts";

export class OneRange {
  #isRunning = false;

  /** @throws {TuttiError} FAILED_PRECONDITION if another range is still running, or what `work` throws */
  async alone<T>(
    { first, last }: Pick<ForwardRange, "first" | "last">,
    work: () => Promise<T>,
  ): Promise<T> {
    if (this.#isRunning) {
      throw new TuttiError(
        "FAILED_PRECONDITION",
        `A session takes one range at a time: ${first}..${last} came before the last one ended`,
        { details: { block: first } },
      );
    }
    this.#isRunning = true;
    try {
      return await work();
    } finally {
      this.#isRunning = false;
    }
  }
}
