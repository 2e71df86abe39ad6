/** The sessions of a run: one per wave and expert, each with its rows of what conditions the expert. @module */

import type { Expert, ExpertSession, SessionConfig } from "../../shared/engine/expert.ts";
import { sliceRows } from "../../shared/tensor/tensor.ts";
import type { Conditioning, ExpertConditioning } from "./conditioning.ts";
import type { WaveRows } from "./waves.ts";

/** Rows of the batch with a session for them on every expert, in the experts' order. */
export interface Wave {
  readonly rows: WaveRows;
  readonly sessions: readonly ExpertSession[];
}

/** What all sessions of a run have in common. */
export type CommonConfig = Pick<
  SessionConfig,
  "height" | "width" | "timesteps" | "job" | "fence" | "wireDtypes"
>;

/** All sessions or none: if one expert refuses, those that are open are closed again. */
export async function openWaves(
  experts: readonly Expert[],
  waveRows: readonly WaveRows[],
  conditioning: Conditioning,
  common: CommonConfig,
  signal?: AbortSignal,
): Promise<Wave[]> {
  const calls = waveRows.map((rows) => ({
    rows,
    sessions: experts.map((expert, index) =>
      expert.openSession({ ...common, ...rowsOf(conditioning.experts[index]!, rows) }, signal)
    ),
  }));
  const opened = await Promise.allSettled(calls.flatMap(({ sessions }) => sessions));
  const refused = opened.find((result) => result.status === "rejected");
  if (refused) {
    await closeAll(opened.flatMap((end) => end.status === "fulfilled" ? [end.value] : []));
    throw refused.reason;
  }
  return await Promise.all(
    calls.map(async ({ rows, sessions }) => ({ rows, sessions: await Promise.all(sessions) })),
  );
}

/** What a session is opened with for some of the rows. */
function rowsOf(
  { encoderHiddenStates, addedCond }: ExpertConditioning,
  { start, end }: WaveRows,
): Pick<SessionConfig, "batch" | "encoderHiddenStates" | "addedCond"> {
  return {
    batch: end - start,
    encoderHiddenStates: sliceRows(encoderHiddenStates, start, end),
    ...(addedCond && {
      addedCond: {
        pooledPromptEmbeds: sliceRows(addedCond.pooledPromptEmbeds, start, end),
        timeIds: sliceRows(addedCond.timeIds, start, end),
      },
    }),
  };
}

/** The sessions' own failures do not count: whatever they are, nothing is left open here. */
export async function closeWaves(waves: readonly Wave[]): Promise<void> {
  await closeAll(waves.flatMap(({ sessions }) => sessions));
}

async function closeAll(sessions: readonly ExpertSession[]): Promise<void> {
  await Promise.allSettled(sessions.map((session) => session.close()));
}
