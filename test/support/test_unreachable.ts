/**
 * Tests of addresses that no connection comes from. Behind a closed channel that never connected, grpc-js
 * 1.14.7 makes one more attempt after its back-off, waits once more (1.6 times as long, both plus a fifth), and keeps a
 * 250 ms timer between addresses. They end by themselves, so such a test waits for them instead of
 * switching the sanitizers off.
 *
 * @module
 */

import { RECONNECT_MIN_MS } from "../../coordinator/cluster/deadlines.ts";

const TIMERS_MS = Math.max(1.2 * (1 + 1.6 * 1.2) * RECONNECT_MIN_MS, 250) + 100;

export function testUnreachable(name: string, body: () => Promise<void>): void {
  Deno.test(name, async () => {
    try {
      await body();
    } finally {
      await new Promise((resolve) => setTimeout(resolve, TIMERS_MS));
    }
  });
}
