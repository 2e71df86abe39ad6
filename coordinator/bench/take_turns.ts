/**
 * Experts of one process that compute one after the other, each on all cores: how one would run an ensemble without any
 * cluster. Called at the same time without this, their threads would fight over the cores.
 *
 * @module
 */

import type {
  Expert,
  ExpertSession,
  ForwardRange,
  ForwardResult,
} from "../../shared/engine/expert.ts";

/** The experts in the same order; each session waits for the calls before it, and the wait counts as queue. */
export function takeTurns(experts: readonly Expert[]): Expert[] {
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = (session: ExpertSession): ExpertSession => ({
    inputBuffer: (range) => session.inputBuffer(range),
    forward: async (range: ForwardRange, signal?: AbortSignal): Promise<ForwardResult> => {
      const start = performance.now();
      const turn = last.then(async () => {
        const waitedMs = performance.now() - start;
        const result = await session.forward(range, signal);
        return { ...result, queueMs: result.queueMs + waitedMs };
      });
      last = turn.catch(() => {/* The caller is told; the next one may still try. */});
      return await turn;
    },
    close: () => session.close(),
  });
  return experts.map((expert) => ({
    description: expert.description,
    encodeText: (...args) => expert.encodeText(...args),
    embedTimesteps: (...args) => expert.embedTimesteps(...args),
    openSession: async (...args) => inTurn(await expert.openSession(...args)),
    close: () => expert.close(),
  }));
}
