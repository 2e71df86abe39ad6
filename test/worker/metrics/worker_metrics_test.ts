import assert from "node:assert/strict";
import { connectExpert } from "../../../coordinator/cluster/remote_expert.ts";
import { ShapeError, TuttiError } from "../../../shared/errors.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { PHASES } from "../../../worker/metrics/block_times.ts";
import { startWorkerServer } from "../../../worker/rpc/server.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { checkMetrics, providePromtool } from "../../support/promtool.ts";
import { NO_PLANES, RawSession } from "../../support/raw_session.ts";
import { readSamples } from "../../support/read_samples.ts";
import { openToMessage } from "../../../shared/wire/convert_session.ts";

const listen = "127.0.0.1:0";

async function scrape(http: string | undefined): Promise<string> {
  return await (await fetch(`http://${http}/metrics`)).text();
}

Deno.test("worker: /metrics counts calls, commands and blocks by outcome, with the time of every phase", async (t) => {
  const expert = new AffineExpert();
  const limits = { maxSessions: 1 };
  await using worker = await startWorkerServer({ expert, listen, http: listen, limits });
  await worker.ready;
  const transport = { plane: "unix" as const, wireDtypes: { all: "f16" as const } };
  const remote = await connectExpert(worker.address, { transport });
  const { modelHash } = remote.description;
  const config = await sessionConfig(remote);
  const session = await remote.openSession(config);
  const hiddenStates = latentsFor(remote.description, config);
  const { hiddenStates: next } = await session.forward({
    ...{ stepIndex: 0, first: "IN00", last: "IN00", hiddenStates },
  });
  await session.forward({ stepIndex: 0, first: "IN01", last: "OUT11", hiddenStates: next });
  const wrong = f32([1, 4, 8, 8]);
  await assert.rejects(
    session.forward({ stepIndex: 1, first: "IN00", last: "IN00", hiddenStates: wrong }),
    ShapeError,
  );
  // Another session than the one that there is room for, and one of another model.
  await assert.rejects(remote.openSession(config), { code: "RESOURCE_EXHAUSTED" });
  await using _ = { [Symbol.asyncDispose]: () => remote.close() };
  await session.close();
  {
    using raw = new RawSession(worker.address);
    const answer = await raw.ask(openToMessage(config, "0".repeat(64), NO_PLANES));
    assert.ok("end" in answer, "the worker must refuse another model");
  }

  const text = await scrape(worker.httpAddress);
  const samples = readSamples(text);
  const commands = (labels: Record<string, string>) =>
    samples.sum("tutti_worker_session_commands_total", labels);
  assert.equal(commands({ command: "open", outcome: "ok", reason: "" }), 1);
  assert.equal(commands({ command: "open", outcome: "rejected", reason: "max_sessions" }), 1);
  assert.equal(commands({ command: "open", outcome: "bad_request" }), 1);
  assert.equal(commands({ command: "use_plane", outcome: "ok" }), 1);
  assert.equal(commands({ command: "forward", outcome: "ok" }), 2);
  assert.equal(commands({ command: "forward", outcome: "bad_request" }), 1);
  assert.equal(samples.sum("tutti_worker_calls_total", { method: "EncodeText" }), 1);
  const counts = "tutti_worker_block_duration_seconds_count";
  for (const phase of PHASES) {
    assert.equal(samples.sum(counts, { phase, block: "IN00", plane: "unix" }), 1, phase);
    assert.equal(samples.sum(counts, { phase, block: "several", plane: "unix" }), 1, phase);
  }
  // The latents come as they are; the output of IN00 goes as f16, the noise as it is.
  assert.equal(samples.sum(counts, { phase: "codec_in", block: "IN00", dtype: "f32" }), 1);
  assert.equal(samples.sum(counts, { phase: "codec_out", block: "IN00", dtype: "f16" }), 1);
  assert.equal(samples.sum(counts, { phase: "codec_out", block: "several", dtype: "f32" }), 1);
  const outBytes = 2 * next.data.length + 4 * hiddenStates.data.length;
  assert.equal(samples.sum("tutti_worker_wire_bytes_total", { direction: "out" }), outBytes);
  assert.equal(samples.sum("tutti_worker_state", { state: "serving" }), 1);
  assert.equal(samples.sum("tutti_worker_sessions", {}), 0);
  assert.equal(samples.sum("tutti_worker_model_info", { model_hash: modelHash }), 1);
  assert.ok(samples.sum("process_resident_memory_bytes", {}) > 10_000_000);
  const age = Date.now() / 1000 - samples.sum("process_start_time_seconds", {});
  assert.ok(age > 0 && age < 3600, `the process started ${age} s ago`);

  const promtool = await providePromtool();
  await t.step({
    name: "promtool check metrics" + ("reason" in promtool ? `: ${promtool.reason}` : ""),
    ignore: "reason" in promtool,
    fn: async () => {
      if ("reason" in promtool) return;
      assert.equal(await checkMetrics(promtool.path, text), "");
      assert.notEqual(await checkMetrics(promtool.path, "a_counter 1\na_counter 2\n"), "");
    },
  });
});

Deno.test("worker: metrics count a plane that was offered and not taken", async () => {
  await using worker = await startWorkerServer({
    ...{ expert: new AffineExpert(), listen, http: listen, planes: ["unix"] },
  });
  await worker.ready;
  using raw = new RawSession(worker.address);
  const config = await sessionConfig(new AffineExpert());
  const transport = { ...NO_PLANES, planes: ["unix" as const] };
  const { modelHash } = new AffineExpert().description;
  assert.ok("event" in await raw.ask(openToMessage(config, modelHash, transport)));
  assert.ok("event" in await raw.ask({ usePlane: { plane: "PLANE_GRPC" } }));
  const samples = readSamples(await scrape(worker.httpAddress));
  const fallbacks = { plane: "unix", reason: "not_taken" };
  assert.equal(samples.sum("tutti_worker_plane_fallbacks_total", fallbacks), 1);
});

Deno.test("outcomeOf() makes labels only of our own words", async () => {
  const { outcomeOf } = await import("../../../worker/metrics/outcome.ts");
  const limit = new TuttiError("RESOURCE_EXHAUSTED", "no", { details: { limit: "max_sessions" } });
  assert.deepEqual(outcomeOf(limit), { outcome: "rejected", reason: "max_sessions" });
  const stopping = new TuttiError("UNAVAILABLE", "no", { details: { state: "stopping" } });
  assert.deepEqual(outcomeOf(stopping), { outcome: "unavailable", reason: "stopping" });
  const foreign = new TuttiError("RESOURCE_EXHAUSTED", "no", { details: { limit: 'x"} 7\n' } });
  assert.deepEqual(outcomeOf(foreign), { outcome: "rejected", reason: "resource_exhausted" });
  assert.deepEqual(outcomeOf(new Error("ONNX Runtime says no")), {
    outcome: "compute_failed",
    reason: "unknown",
  });
});
