/**
 * A session whose results stay as they are. Those of a plain session lie in its memory, so a test that compares two of
 * them would compare one with itself.
 *
 * @module
 */

import type { ExpertSession } from "../../shared/engine/expert.ts";
import { copyTensor } from "../../shared/tensor/tensor.ts";

export function keepResults(session: ExpertSession): ExpertSession {
  return {
    inputBuffer: (range) => session.inputBuffer(range),
    forward: async (range, signal) => {
      const result = await session.forward(range, signal);
      return { ...result, hiddenStates: copyTensor(result.hiddenStates) };
    },
    close: () => session.close(),
  };
}
