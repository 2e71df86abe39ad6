/**
 * Sessions of one process that compute one after the other, each on all cores: how one would run an ensemble without any
 * cluster. Called at the same time without this, their threads would fight over the cores.
 *
 * @module
 */

import type { ExpertSession, ForwardRange, ForwardResult } from "../../shared/engine/expert.ts";

/** The sessions in the same order, each waiting for those that were called before; the wait counts as queue. */
export function takeTurns(sessions: readonly ExpertSession[]): ExpertSession[] {
  let last: Promise<unknown> = Promise.resolve();
  return sessions.map((session) => ({
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
  }));
}
