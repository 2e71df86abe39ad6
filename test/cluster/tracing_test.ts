import assert from "node:assert/strict";
import { OtlpReceiver, type ReceivedSpan } from "../support/otlp_receiver.ts";
import { testTutti } from "../support/run_tutti.ts";
import { PROMPT, readPng, zooPath } from "../support/zoo.ts";

const SERVE = ["worker", "--threads", "1", "--listen", "127.0.0.1:0"];
const FILES = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
const STEPS = 2, BLOCKS = 25, EXPERTS = ["round", "square"];
const TIMEOUT_MS = 300_000;

testTutti(
  "a trace joins coordinator and workers, from the job to a block's computing",
  async (home) => {
    await using receiver = new OtlpReceiver();
    const workers = EXPERTS.map((name) =>
      home.start([...SERVE, "--model", zooPath(name)], {
        env: receiver.env(`worker ${name}`),
        timeoutMs: TIMEOUT_MS,
      })
    );
    const addresses = await Promise.all(workers.map(async (worker) => {
      return (await worker.says(/^Worker ready at (127\.0\.0\.1:\d+): serving/m))[1]!;
    }));
    const sample = async (out: string, env: Record<string, string>) => {
      const args = ["--steps", String(STEPS), "--seed", "1", "--workers", addresses.join()];
      await home.expect(0, ["sample", PROMPT, ...args, ...FILES, "--out", out], {
        env,
        timeoutMs: TIMEOUT_MS,
      });
      return await readPng(home.file(out));
    };
    const plain = await sample("plain.png", {});
    const traced = await sample("traced.png", receiver.env("coordinator"));
    assert.deepEqual(traced.rgb, plain.rgb);
    for (const worker of workers) {
      worker.kill("SIGTERM");
      assert.equal((await worker.result).code, 0);
    }

    const { spans } = receiver;
    const roots = spans.filter(({ name }) => name === "job");
    assert.equal(roots.length, 1);
    const [job] = roots;
    assert.equal(job!.parentSpanId, "");
    const ours = spans.filter(({ traceId }) => traceId === job!.traceId);
    const named = (wanted: string) => ours.filter(({ name }) => name === wanted);
    const blocks = STEPS * BLOCKS, calls = blocks * EXPERTS.length;
    const counts = ["step", "segment", "aggregate", "forward", "worker forward", "queue", "compute"]
      .map((name) => named(name).length);
    assert.deepEqual(counts, [STEPS, blocks, blocks, calls, calls, calls, calls]);

    const byId = new Map(ours.map((span) => [span.spanId, span]));
    const parents = (span: ReceivedSpan | undefined): string[] =>
      span ? [`${span.service}: ${span.name}`, ...parents(byId.get(span.parentSpanId))] : [];
    const above = ["segment", "step", "job"].map((name) => `coordinator: ${name}`);
    for (const compute of named("compute")) {
      const worker = compute.service;
      assert.deepEqual(parents(compute), [
        ...[`${worker}: compute`, `${worker}: worker forward`, "coordinator: forward"],
        ...above,
      ]);
      const ranges = byId.get(compute.parentSpanId)!;
      const call = byId.get(ranges.parentSpanId)!;
      assert.equal(`worker ${call.attributes["tutti.expert"]}`, worker);
      for (const key of ["tutti.first", "tutti.last", "tutti.step"]) {
        assert.equal(ranges.attributes[key], call.attributes[key]);
      }
      // Of one machine, so of one clock; the phases are told when they have ended.
      assert.ok(BigInt(call.startTimeUnixNano) <= BigInt(ranges.startTimeUnixNano));
    }
    for (const aggregate of named("aggregate")) {
      assert.deepEqual(parents(aggregate), ["coordinator: aggregate", ...above]);
    }
    // What a coordinator without traces asked for.
    const alone = spans.filter(({ traceId, name }) =>
      traceId !== job!.traceId && name === "worker forward"
    );
    assert.equal(new Set(alone.map(({ traceId }) => traceId)).size, calls);
    assert.deepEqual(new Set(alone.map(({ parentSpanId }) => parentSpanId)), new Set([""]));
    assert.ok(!JSON.stringify(spans).includes("green heart"), "a prompt is in a span");
  },
);
