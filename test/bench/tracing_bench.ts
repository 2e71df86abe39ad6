/**
 * What spans cost where traces are switched off, as they are by default: run it as it is, and with `OTEL_DENO=true` for
 * what they cost where they are on. One iteration is what one block costs a coordinator of one expert.
 *
 * @module
 */

import { addToSpan, inClientSpan, inSpan, openTrace } from "../../shared/telemetry/tracing.ts";

const work = () => Promise.resolve(1);

Deno.bench("a block's work", { group: "block", baseline: true }, async () => {
  await work();
});

Deno.bench("a block's work in its spans", { group: "block" }, async () => {
  await inSpan("segment", { "tutti.first": "IN00", "tutti.last": "IN00" }, async () => {
    await inClientSpan("forward", { "tutti.first": "IN00", "tutti.last": "IN00" }, async () => {
      openTrace();
      await work();
      addToSpan({ "tutti.plane": "shm" });
    });
    await inSpan("aggregate", { "tutti.block": "IN00" }, work);
  });
});
