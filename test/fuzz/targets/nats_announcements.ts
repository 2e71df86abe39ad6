/** Entries of the bucket in which workers announce themselves: whoever may write there may write anything. @module */

import assert from "node:assert/strict";
import { WorkerView } from "../../../coordinator/discovery/worker_view.ts";
import {
  decodeAnnouncement,
  encodeAnnouncement,
} from "../../../shared/nats/worker_announcement.ts";
import { announcement } from "../../shared/nats/announcements.ts";
import { type FuzzTarget, outcomeOf } from "../fuzz.ts";
import type { Mutator } from "../mutate.ts";

export function natsAnnouncements(): Promise<FuzzTarget> {
  const view = new WorkerView();
  const seed = encodeAnnouncement(announcement({ draining: true }));
  const text = new TextDecoder().decode(seed);
  /** Begins and ends of JSON's values: what stands between is replaced. */
  const cuts = [...text.matchAll(/[:,[\]{}]/g)].map(({ index }) => index);
  const take = (key: string, bytes: Uint8Array) =>
    view.heard(decodeAnnouncement(key, bytes), { isLive: true });
  return Promise.resolve({
    name: "nats",
    seeds: [seed],
    alphabet: new TextEncoder().encode('[]{}":,\\ue019-.tfn_ '),
    mutate: (_, mutator) => withOtherValue(text, cuts, mutator),
    feed: (bytes) => outcomeOf(() => take("w1", bytes)),
    feedGood() {
      take("w0", encodeAnnouncement(announcement({ id: "w0" })));
      assert.ok(view.workers().some(({ id }) => id === "w0"));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

const VALUES = ['""', '"w1"', '"a:1"', '"a:99999"', '"\\u0000"', '"\\ud800"', '"\\u202e"', "[]"]
  .concat(["{}", '{"toString":1}', '{"__proto__":null}', '["IN00"]', "[[]]", "0", "-1", "1.5"])
  .concat(["1e999", "9007199254740993", "true", "null", `"${"x".repeat(20_000)}"`])
  .concat(["[".repeat(10_000), `[${"0,".repeat(1_000)}0]`, '"sdxl"', '"ab"']);

function withOtherValue(
  text: string,
  cuts: readonly number[],
  mutator: Mutator,
): Uint8Array<ArrayBuffer> {
  const from = mutator.below(cuts.length - 1);
  const to = Math.min(cuts.length - 1, from + 1 + mutator.below(3));
  const value = VALUES[mutator.below(VALUES.length)]!;
  return new TextEncoder().encode(text.slice(0, cuts[from]! + 1) + value + text.slice(cuts[to]!));
}
