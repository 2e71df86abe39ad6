import assert from "node:assert/strict";
import { hasCudaProvider } from "../../../shared/device/provider_files.ts";
import { goldenExpert } from "../../support/golden_expert.ts";
import { inTurns } from "../../support/in_turns.ts";
import { jsonLines, testTutti } from "../../support/run_tutti.ts";

/** No driver of any adapter. */
const NO_DRIVER = { VK_DRIVER_FILES: `${import.meta.dirname}/no-driver.json` };
const WORKER = ["worker", "--model", goldenExpert("a"), "--listen", "127.0.0.1:0"];

testTutti(
  "a device or precision that there is not is wrong usage, by flag or environment",
  async (home) => {
    const cases: readonly (readonly [readonly string[], RegExp, Record<string, string>?])[] = [
      [["sample", "x", "--device", "tpu"], /Allowed are cpu, webgpu, cuda, auto, cuda:N/],
      [["up", "--device", "webgpu:1"], /webgpu takes the adapter that the system prefers: no way/],
      [["up", "--precision", "f8"], /Allowed choices are f32, f16, auto/],
      [["verify"], /from env 'TUTTI_DEVICE' is invalid/, { TUTTI_DEVICE: "tpu" }],
      [
        [...WORKER, "--precision", "f16"],
        /--precision must be f32 or auto with --device cpu: .* no 16-bit kernels .* "f16"/,
      ],
      [[...WORKER, "--device", "webgpu", "--lanes", "2"], /--lanes must be 1 with --device webgpu/],
    ];
    await inTurns(cases, async ([args, message, env = {}]) => {
      const { stderr, stdout } = await home.expect(2, args, { env });
      assert.match(stderr, message);
      assert.equal(stdout, "");
    });
  },
);

testTutti("a device that cannot be used: every command says so, and what to do", async (home) => {
  const commands = [WORKER, ["sample", "x"], ["up"], ["verify", "--via", "local"]];
  await inTurns(commands, async (args) => {
    const { stderr } = await home.run([...args, "--device", "webgpu"], { env: NO_DRIVER });
    assert.match(
      stderr,
      /error: .*Device "webgpu" cannot be used. No graphics adapter was found: /,
    );
    assert.doesNotMatch(stderr, /webgpu_context|\n {4}at /);
  });
  if (await hasCudaProvider()) return;
  const [error] = await home.json(["verify", "--device", "cuda"], { code: 1 });
  assert.deepEqual([error!.event, error!.code], ["error", "FAILED_PRECONDITION"]);
  assert.match(String(error!.message), /ONNXRUNTIME_NODE_INSTALL=cuda12 deno run -A node_modules/);
});

testTutti(
  "tutti worker says on what it computes; auto explains its choice in one line",
  async (home) => {
    const env = { ...NO_DRIVER, TUTTI_DEVICE: "auto" };
    const worker = home.start([...WORKER, "--precision", "auto", "--json"], { env });
    const [, device] = await worker.says(/"device":"(\w+)"/);
    worker.kill("SIGTERM");
    const { code, stdout, stderr } = await worker.result;
    assert.equal(code, 0);
    const [ready] = jsonLines(stdout);
    assert.equal(ready!.precision, device === "cpu" ? "f32" : ready!.precision);
    const lines = stderr.split("\n").filter((line) => line.startsWith("Device "));
    assert.equal(lines.length, 1);
    assert.ok(lines[0]!.startsWith(`Device ${device} (auto: cuda: `), lines[0]!);
  },
);

testTutti("tutti verify --only runs the checks that fit", async (home) => {
  const results = await home.json([
    "verify",
    "--via",
    "local",
    "--only",
    "sd15/text,schedulers/d*",
  ]);
  const names = results.map(({ name }) => name);
  assert.ok(names.includes("sd15/text") && names.includes("schedulers/ddim"), String(names));
  assert.ok(names.every((name) => /^(sd15\/text|schedulers\/d.*)$/.test(String(name))));
  const { stderr } = await home.expect(2, ["verify", "--only", "sd15"]);
  assert.match(stderr, /--only must fit the name of a check: current value is "sd15"/);
});
