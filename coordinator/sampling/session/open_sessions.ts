/** Sessions that only count together. @module */

import type { ExpertSession } from "../../../shared/engine/expert.ts";

/**
 * All or none: if one expert refuses, those that are open are closed again.
 *
 * @throws what the first that was refused threw
 */
export async function openSessions(
  opening: readonly Promise<ExpertSession>[],
): Promise<ExpertSession[]> {
  const opened = await Promise.allSettled(opening);
  const refused = opened.find((result) => result.status === "rejected");
  if (refused) {
    await closeSessions(opened.flatMap((end) => end.status === "fulfilled" ? [end.value] : []));
    throw refused.reason;
  }
  return await Promise.all(opening);
}

/** The sessions' own failures do not count: whatever they are, nothing is left open here. */
export async function closeSessions(sessions: readonly ExpertSession[]): Promise<void> {
  await Promise.allSettled(sessions.map((session) => session.close()));
}
