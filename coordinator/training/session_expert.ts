/**
 * The blocks of one expert, differentiated by the session that ran them: it kept their inputs, so that only gradients travel.
 *
 * @module
 */

import type { ExpertSession } from "../../shared/engine/expert.ts";
import { TuttiError } from "../../shared/errors.ts";
import { copyTensor } from "../../shared/tensor/tensor.ts";
import type { BackwardRange, ExpertBackward, RangeGradients } from "./ensemble_backward.ts";

export class SessionExpert implements ExpertBackward {
  readonly #session: ExpertSession;
  readonly #stepIndex: number;

  /**
   * @param session that keeps inputs
   * @param stepIndex of the forward pass, the last that the session ran
   */
  constructor(session: ExpertSession, stepIndex: number) {
    this.#session = session;
    this.#stepIndex = stepIndex;
  }

  /** @throws {TuttiError} UNIMPLEMENTED if sessions of this kind have no way back, and as `ExpertSession.backward()` */
  async backward(
    { first, last, gradOutput }: BackwardRange,
    signal?: AbortSignal,
  ): Promise<RangeGradients> {
    if (!this.#session.backward) {
      throw new TuttiError("UNIMPLEMENTED", "This session has no way back");
    }
    const range = { stepIndex: this.#stepIndex, first, last, gradOutput };
    const { gradHiddenStates, gradResiduals } = await this.#session.backward(range, signal);
    // What lies in the session's memory is overwritten by the next range.
    return {
      gradHiddenStates: copyTensor(gradHiddenStates),
      gradResiduals: new Map([...gradResiduals].map(([id, tensor]) => [id, copyTensor(tensor)])),
    };
  }
}
