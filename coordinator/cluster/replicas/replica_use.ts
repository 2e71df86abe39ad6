/** A replica in use: whoever routes meanwhile sees it, and its worker is watched. @module */

import type { Link, Replica } from "./replica.ts";
import { untilAborted } from "./replica_pool.ts";

/** A replica that answers, and what ends the use of it. */
export interface ReplicaUse extends Disposable {
  readonly replica: Replica;
  readonly link: Link;
}

/** @throws {TuttiError} CANCELLED, or what keeps it from being connected */
export async function useReplica(replica: Replica, signal?: AbortSignal): Promise<ReplicaUse> {
  // At once, so that what is routed meanwhile goes elsewhere.
  replica.ownWork++;
  try {
    const link = await untilAborted(replica.link(), signal);
    if (link.lost.aborted) throw link.lost.reason;
    const watched = link.use();
    let isUsed = true;
    return {
      ...{ replica, link },
      [Symbol.dispose]: () => {
        if (isUsed) replica.ownWork--;
        isUsed = false;
        watched[Symbol.dispose]();
      },
    };
  } catch (error) {
    replica.ownWork--;
    throw error;
  }
}
