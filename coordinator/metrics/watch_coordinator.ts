/** A coordinator's pages for probes, Prometheus and people. @module */

import type { Watched } from "../../shared/http/watch_server.ts";
import type { CoordinatorMetrics } from "./coordinator_metrics.ts";

export interface CoordinatorFacts {
  /** Who this is, for people. */
  readonly coordinator: string;
  readonly ensemble: string;
  /** Jobs at a time. */
  readonly jobs: number;
}

export function watchCoordinator(
  facts: CoordinatorFacts,
  metrics: CoordinatorMetrics,
  draining: AbortSignal,
): Watched {
  const notReady = () => {
    if (draining.aborted) {
      return { state: "draining", reason: "The coordinator gives its jobs back after their step" };
    }
    if (metrics.isReady) return undefined;
    return { state: "waiting", reason: `The coordinator takes no jobs: ${metrics.whyWaiting}` };
  };
  return {
    notReady,
    status: () => ({
      ...facts,
      state: notReady()?.state ?? "serving",
      running: metrics.running,
    }),
    metrics: () => metrics.text(),
  };
}
