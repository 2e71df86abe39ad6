/** The sessions of a run: one per wave and expert, each with its rows of what conditions the expert. @module */

import type { Expert, ExpertSession, SessionConfig } from "../../../shared/engine/expert.ts";
import { sliceRows } from "../../../shared/tensor/tensor.ts";
import type { Patience } from "../../cluster/admission_retry.ts";
import type { Conditioning, ExpertConditioning } from "../conditioning.ts";
import type { WaveRows } from "./waves.ts";

/** Rows of the batch with a session for them on every expert, in the experts' order. */
export interface Wave {
  readonly rows: WaveRows;
  readonly sessions: readonly ExpertSession[];
}

/** What all sessions of a run have in common. */
export type CommonConfig = Pick<
  SessionConfig,
  "height" | "width" | "timesteps" | "job" | "fence" | "wireDtypes" | "keepInputs"
>;

export interface OpenWavesOptions {
  /** How long to wait where there is no room. */
  readonly patience: Patience;
  readonly signal?: AbortSignal | undefined;
}

/**
 * All sessions or none: if one expert refuses, those that are open are closed again. Where a worker is full, they are
 * opened one after the other instead, each waiting in its worker's queue, in the order of the models' hashes: every run
 * goes through the queues in the same order, so no two wait for each other.
 *
 * @throws {TuttiError} what an expert refused for good, or still refuses when the patience is used up
 */
export async function openWaves(
  experts: readonly Expert[],
  waveRows: readonly WaveRows[],
  conditioning: Conditioning,
  common: CommonConfig,
  { patience, signal }: OpenWavesOptions,
): Promise<Wave[]> {
  const jobSessions = waveRows.length;
  const requests = waveRows.flatMap((rows) =>
    experts.map((expert, index) => ({
      expert,
      config: { ...common, jobSessions, ...rowsOf(conditioning.experts[index]!, rows) },
    }))
  );
  const hashOf = ({ expert }: typeof requests[number]) => expert.description.modelHash;
  const inOrder = requests.toSorted((a, b) => hashOf(a) < hashOf(b) ? -1 : 1);
  let isRefused = false;
  const opened = await patience.untilAdmitted(async () => {
    const sessions = new Map<typeof requests[number], ExpertSession>();
    const open = async (request: typeof requests[number], waitMs: number) => {
      const { expert, config } = request;
      sessions.set(request, await expert.openSession({ ...config, waitMs }, signal));
    };
    try {
      if (!isRefused) await allSettled(requests.map((request) => open(request, 0)));
      else {
        for (const request of inOrder) {
          // With a model twice in an ensemble the order is none: who holds something gives up in time to try again.
          const waitMs = sessions.size === 0 ? patience.left : Math.floor(patience.left / 2);
          await open(request, waitMs);
        }
      }
    } catch (error) {
      isRefused = true;
      await closeSessions([...sessions.values()]);
      throw error;
    }
    return sessions;
  }, { isQueueing: true });
  return waveRows.map((rows, wave) => ({
    rows,
    sessions: experts.map((_, index) => opened.get(requests[wave * experts.length + index]!)!),
  }));
}

/** Waits for all, also if one fails: what the others opened has to be closed. */
async function allSettled(openings: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(openings)).find((end) => end.status === "rejected");
  if (failed) throw failed.reason;
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
  await closeSessions(waves.flatMap(({ sessions }) => sessions));
}

async function closeSessions(sessions: readonly ExpertSession[]): Promise<void> {
  await Promise.allSettled(sessions.map((session) => session.close()));
}
