/** A worker's pages for probes, Prometheus and people. @module */

import type { NotReady, Watched } from "../shared/http/watch_server.ts";
import type { PortWatch } from "../shared/wire/port_watch.ts";
import type { WorkerState } from "../shared/wire/convert_status.ts";
import type { WorkerMetrics } from "./metrics/worker_metrics.ts";
import type { WorkerHost } from "./worker_host.ts";

const NOT_ACCEPTING =
  "The gRPC port accepted no connection; it is opened anew. If this comes back, the process needs more file descriptors (ulimit -n)";

const REASONS: Readonly<Record<Exclude<WorkerState, "serving">, string>> = {
  loading: "The worker is still loading its model",
  draining: "The worker is draining: open sessions go on, new ones are refused",
  stopping: "The worker is stopping: running commands finish, new ones are refused",
};

/** @param ports those of gRPC */
export function watchWorker(
  host: WorkerHost,
  metrics: WorkerMetrics,
  ports: readonly PortWatch[],
): Watched {
  return {
    async notLive() {
      const accepting = await Promise.all(ports.map((port) => port.isAccepting()));
      return accepting.includes(false) ? NOT_ACCEPTING : undefined;
    },
    notReady: () => reasonOf(host.state),
    status: () => ({ ...host.status(), sessionList: host.sessions.list() }),
    metrics: () => metrics.text(),
  };
}

function reasonOf(state: WorkerState): NotReady | undefined {
  return state === "serving" ? undefined : { state, reason: REASONS[state] };
}
