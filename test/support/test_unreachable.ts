/**
 * Tests of addresses that no connection comes from. grpc-js 1.14.7 leaves two timers behind a closed channel that
 * never connected: its back-off (our 200 ms plus a fifth) and 250 ms between addresses. They end by
 * themselves, so such a test waits for them instead of switching the sanitizers off.
 *
 * @module
 */

import { RECONNECT_MIN_MS } from "../../coordinator/cluster/deadlines.ts";

const TIMERS_MS = Math.max(1.2 * RECONNECT_MIN_MS, 250) + 100;

export function testUnreachable(name: string, body: () => Promise<void>): void {
  Deno.test(name, async () => {
    try {
      await body();
    } finally {
      await new Promise((resolve) => setTimeout(resolve, TIMERS_MS));
    }
  });
}
