import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { checkCacheFolder, checkStateFolder } from "../../../coordinator/doctor/files.ts";
import { checkMemory, checkPorts } from "../../../coordinator/doctor/machine.ts";
import { describeProvider } from "../../../coordinator/doctor/providers.ts";
import { checkDeno } from "../../../coordinator/doctor/versions.ts";
import type { Finding } from "../../../coordinator/doctor/finding.ts";
import { zooPath } from "../../support/zoo.ts";
import { testTutti } from "../../support/run_tutti.ts";

const MAIN = fileURLToPath(new URL("../../../main.ts", import.meta.url));
const NO_DRIVER = { VK_DRIVER_FILES: `${import.meta.dirname}/no-driver.json` };

interface Report {
  readonly ok: boolean;
  readonly findings: readonly Finding[];
}

testTutti(
  "tutti doctor: this machine can sample, and each problem has its next step",
  async (home) => {
    const [report] = await home.json<Report>(["doctor"], { env: NO_DRIVER });
    assert.equal(report!.ok, true);
    const byName = new Map(report!.findings.map((finding) => [finding.name, finding]));
    const needed = ["deno", "grpc", "native calls", "processor", "onnxruntime", "device cpu"];
    for (
      const name of [
        ...needed,
        "bundled experts",
        "tokenizer",
        "loopback",
        "state folder",
        "cache folder",
      ]
    ) {
      assert.equal(byName.get(name)?.verdict, "ok", name);
    }
    assert.equal(byName.get("deno")!.value, Deno.version.deno);
    assert.equal(byName.get("bundled experts")!.value, "round, square, pointed");
    const webgpu = byName.get("device webgpu")!;
    assert.deepEqual([webgpu.verdict, webgpu.value], ["absent", "No graphics adapter was found"]);
    for (const { name, verdict, value, nextStep } of report!.findings) {
      assert.ok(value !== "", name);
      assert.equal(nextStep !== undefined, verdict !== "ok", name);
    }
  },
);

testTutti("tutti doctor holds an ensemble against this machine's memory", async (home) => {
  const file = zooPath("ensemble.toml");
  const [report] = await home.json<Report>(["doctor", file], { env: NO_DRIVER });
  const { verdict, value } = report!.findings.find(({ name }) => name === "memory cpu")!;
  assert.equal(verdict, "ok");
  assert.match(
    value,
    /^round [\d.]+ MB, square [\d.]+ MB, pointed [\d.]+ MB: .* to draw, .* free$/,
  );
  await home.expect(4, ["doctor", "absent.toml"], { env: NO_DRIVER });
});

testTutti("tutti doctor ends with 1 when something that sampling needs fails", async (home) => {
  const args = ["run", "-q", "-A", "--deny-ffi", "--no-prompt", MAIN, "doctor"];
  const { code, stdout, stderr } = await home.startProgram(Deno.execPath(), args, {
    env: NO_DRIVER,
  }).result;
  assert.equal(code, 1);
  assert.match(stdout, /^failed {2}native calls {5}Requires ffi access/m);
  assert.match(stdout, /^ +next: run Deno with --allow-ffi$/m);
  assert.match(stdout, /^ok {6}deno/m, "the others are told, too");
  assert.match(stderr, /error: Sampling does not work .* before this does: .*native calls/);
});

Deno.test("checkDeno() knows versions that are too old", () => {
  const verdicts = ["2.9.6", "2.10.0", "3.0.0", "2.8.9", "1.46.3"].map((version) =>
    checkDeno(version).verdict
  );
  assert.deepEqual(verdicts, ["ok", "ok", "ok", "failed", "failed"]);
});

Deno.test("checkMemory() tells enough, enough for the bundled experts, and too little", () => {
  const total = 32e9;
  const verdicts = [8e9, 2e9, 0.5e9].map((available) => checkMemory({ total, available }));
  assert.deepEqual(verdicts.map(({ verdict }) => verdict), ["ok", "absent", "failed"]);
  assert.equal(verdicts[0]!.value, "8.0 GB free of 32.0 GB");
});

Deno.test("checkPorts() sees a port that is taken", () => {
  let taken: Deno.Listener | undefined;
  try {
    taken = Deno.listen({ hostname: "127.0.0.1", port: 7070 });
  } catch {
    // Somebody else has it: as good.
  }
  try {
    const [loopback, port] = checkPorts();
    assert.equal(loopback!.verdict, "ok");
    assert.deepEqual([port!.name, port!.verdict, port!.value], ["port 7070", "absent", "in use"]);
  } finally {
    taken?.close();
  }
});

Deno.test("folders that cannot be written are absent, with a reason", async () => {
  const kept = ["XDG_STATE_HOME", "XDG_CACHE_HOME"].map((name) => [name, Deno.env.get(name)]);
  try {
    Deno.env.set("XDG_STATE_HOME", "/dev/null");
    Deno.env.set("XDG_CACHE_HOME", "/dev/null");
    for (const finding of [await checkStateFolder(), await checkCacheFolder()]) {
      assert.equal(finding.verdict, "absent", finding.name);
      assert.match(finding.nextStep!, /^set XDG_/);
    }
  } finally {
    for (const [name, value] of kept) {
      if (value === undefined) Deno.env.delete(name!);
      else Deno.env.set(name!, value);
    }
  }
});

Deno.test("describeProvider() says what a device can, and fails only for the processor", () => {
  const none = { f32: { maxFusedHeadDim: 0 } };
  const card = { name: "Card 9000", isSoftware: false };
  const full = { f32: { maxFusedHeadDim: 512 }, f16: { maxFusedHeadDim: 160 } };
  const findings = [
    describeProvider({ device: "webgpu", adapter: card, ...full }),
    describeProvider({ device: "webgpu", adapter: { ...card, isSoftware: true }, ...none }),
    describeProvider({ device: "webgpu", failure: "It crashed with SIGSEGV", ...none }),
    describeProvider({ device: "cpu", failure: "It crashed with SIGILL", ...none }),
  ];
  assert.deepEqual(findings.map(({ verdict, value }) => [verdict, value]), [
    ["ok", "Card 9000, computes right in f32 and f16, fused attention up to heads of 512"],
    [
      "ok",
      "Card 9000 (software, slow), computes right in f32, has no f16, without fused attention",
    ],
    ["absent", "It crashed with SIGSEGV"],
    ["failed", "It crashed with SIGILL"],
  ]);
});
