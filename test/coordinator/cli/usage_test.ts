import assert from "node:assert/strict";
import { jsonLines, testTutti } from "../../support/run_tutti.ts";
import { inTurns } from "../../support/in_turns.ts";
import { zooPath } from "../../support/zoo.ts";

const FILES = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];

/** Command line and what standard error says; the exit code is 2. */
const CASES: readonly (readonly [readonly string[], RegExp])[] = [
  [["smaple", "x"], /unknown command 'smaple'\n\(Did you mean sample\?\)/],
  [["--verbose"], /unknown option '--verbose'/],
  [["sample"], /missing required argument 'prompt'/],
  [
    ["sample", "a", "castle"],
    /too many arguments for 'sample'.*\n\(A prompt of several words is q/,
  ],
  [
    ["sample", "x", "--model", "a"],
    /unknown option '--model'\n\(Models are named in an ensemble f/,
  ],
  [["sample", "x", "--stpes", "3"], /unknown option '--stpes'\n\(Did you mean --steps\?\)/],
  [["sample", "x", "--steps"], /option '--steps <n>' argument missing/],
  [
    ["sample", "x", "--steps", "0"],
    /--steps must be a whole number in 1\.\.1000: current value is "0"/,
  ],
  [["sample", "x", "--steps", "1.5"], /--steps must be .*: current value is "1\.5"/],
  [["sample", "x", "--seed", "-2"], /--seed must be -1 \(random\) or a whole .* 0\.\.\d+: .* "-2"/],
  [["train", "--data", "d", "--out", "x", "--seed", "-1"], /--seed must be a whole number .* "-1"/],
  [["sample", "x", "--seed", String(2n ** 64n)], /in 0\.\.18446744073709551615: .*551616"/],
  [
    ["sample", "x", "--batch", "0"],
    /--batch must be a whole number in 1\.\.1024: current value is "0"/,
  ],
  [["sample", "x", "--steps", "5000"], /--steps must be a whole number in 1\.\.1000: .* "5000"/],
  [["sample", "x", "--batch", "5000"], /--batch must be a whole number in 1\.\.1024: .* "5000"/],
  [["sample", "x", "--size", "65"], /--size must be multiples of 8 .* "65"; 64 is the nearest/],
  [["submit", "x", "--size", "64x65"], /--size must be multiples of 8 .* "64x65"; 64x64 is/],
  [["sample", "x", "--guidance", "nan"], /--guidance must be a number: current value is "nan"/],
  [["sample", "x", "--size", "64x"], /--size must be a size as 512 or 768x512: .* "64x"/],
  [["sample", "x", "--cfg-scale", "nan"], /--cfg-scale must be a number: current value is "nan"/],
  [
    ["sample", "x", "--guidance", "5", "--cfg", "6"],
    /--guidance and --cfg are the same setting with different values: give one of them/,
  ],
  [["submit", "x", "--cfg", "5", "--cfg-scale", "6"], /--cfg and --cfg-scale are the same setting/],
  [["sample", "x", "--width", "64"], /--width and --height need each other; --size gives both/],
  [
    ["sample", "x", "--width", "64", "--height", "65"],
    /--width and --height must be multiples of 8 .* "64x65"; 64x64 is the nearest/,
  ],
  [
    ["sample", "x", "--size", "64", "--width", "64", "--height", "72"],
    /--size and --width and --height are the same setting with different values/,
  ],
  [
    ["sample", "x", "--init-latents", "a", "--width", "64", "--height", "64"],
    /--size and --init-latents contradict/,
  ],
  [["sample", "x", "--ensemble", "a", "--workers", "b"], /--ensemble and --workers .* one of them/],
  [["sample", "x", "--workers", "127.0.0.1:7070"], /--workers needs --vae:/],
  [["sample", "x", "--workers", "127.0.0.1:7070", ...FILES.slice(2)], /--workers needs --vae/],
  [["sample", "x", "--workers", "localhost", ...FILES], /the port is missing: localhost:7070/],
  [["sample", "x", "--init-latents", "a", "--size", "64"], /--size and --init-latents contradict/],
  [["sample", "x", "--init-latents", "a", "--batch", "2"], /--batch and --init-latents contradict/],
  [
    ["sample", "x", "--sabw", "uniform", "--save-maps", "m"],
    /--save-maps needs a method that weighs/,
  ],
  [["sample", "x", "--sabw", "uniform", "--method", "afa"], /afa needs trained aggregators/],
  [["sample", "x", "--aggregate", "IN04", "--method", "switch"], /switch decides itself which/],
  [["sample", "x", "--method", "magicfusion", "--guidance", "1"], /a guidance scale other than 1/],
  [["sample", "x", "--method", "superdiff-or"], /samplers for it are ddim with --eta 1, ddpm, /],
  [["sample", "x", "--method", "magicfusoin"], /--method must be one of .*"magicfusion"/],
  [["sample", "x", "--sampler", "eular"], /--sampler must be one of .*did you mean "euler"/],
  [["sample", "x", "--resume"], /--resume needs --checkpoint FILE/],
  [["sample", "x", "--resume", "--checkpoint", "c", "--save-maps", "m"], /contradict each other/],
  [["sample", "x", "--prompts", "p"], /A prompt and --prompts contradict each other/],
  [["sheet"], /missing required argument 'prompt'/],
  [["sheet", "x", "--methods", "afa,averge"], /must be one of .*did you mean "average"/],
  [["sheet", "x", "--samplers", "eular"], /must be one of .*did you mean "euler"/],
  [["sheet", "x", "--methods", "afa", "--method", "average"], /--methods and --method contradict/],
  [["sheet", "x", "--samplers", "ddim", "--sampler", "euler"], /--samplers and --sampler contra/],
  [["sheet", "x", "--method", "average"], /--method needs --samplers/],
  [["sheet", "x", "--methods", "afa", "--sabw", "uniform"], /afa needs trained aggregators/],
  [["sheet", "x", "--methods", "magicfusion", "--guidance", "1"], /a guidance scale other than 1/],
  [["sheet", "x", "--out", "a.jpg"], /--out must end in "\.png" or "\.svg": .* "a\.jpg"/],
  [["sheet", "x", "--out", "nowhere/a.png"], /--out must lie in a folder that exists: "nowhere"/],
  [["submit"], /missing required argument 'prompt'/],
  [["submit", "x"], /--nats is needed: the NATS server that has the queue/],
  [["submit", "x", "--id", "a b"], /--id must be 1 to 64 letters.*: current value is "a b"/],
  [
    ["submit", "x", "--method", "regions:photo=mask.png"],
    /Mask "mask\.png" cannot go with a job: jobs of the queue carry no files/,
  ],
  [["submit", "x", "--steps", "2000"], /--steps must be a whole number in 1\.\.1000: .* "2000"/],
  [["jobs"], /--nats is needed/],
  [["jobs", "a/b"], /The job must be a job.s id/],
  [["jobs", "a", "--cancel", "b"], /contradict each other/],
  [["jobs", "--fetch", "x.png"], /--fetch needs a job/],
  [["jobs", "--cancel", "a/b"], /--cancel must be a job's id/],
  [["coordinator"], /--nats is needed/],
  [["coordinator", "--jobs", "0"], /--jobs must be a whole number >= 1/],
  [["train", "--out", "x"], /required option '--data <path>' not specified/],
  [
    ["train", "--data", "d", "--out", "x", "--heads", "3"],
    /--heads must divide --hidden-size 128: .* 3/,
  ],
  [
    ["train", "--data", "d", "--out", "x", "--lr", "0"],
    /--lr must be above 0: current value is "0"/,
  ],
  [
    ["train", "--data", "d", "--out", "x", "--without", "pace"],
    /space.*\(Did you mean space\?\)|"space"/,
  ],
  [
    ["train", "--data", "d", "--out", "x", "--gradient-dtype", "f16"],
    /--gradient-dtype must be one of auto, f32, bf16, int8: current value is "f16"/,
  ],
  [["screen", "--data", "d", "--draws", "1"], /--draws must be a whole number >= 2/],
  [["up", "a", "b"], /too many arguments for 'up'/],
  [["up", "--threads", "0"], /--threads must be a whole number >= 1/],
  [["health"], /missing required argument 'address'/],
  [["health", "127.0.0.1:70700"], /port from 1 to 65535: current value is "127\.0\.0\.1:70700"/],
  [["ps", "--workers", "::1:7070"], /an IPv6 host needs brackets/],
  [["verify", "--via", "post"], /Allowed choices are local, cluster/],
];

testTutti(
  "wrong usage ends with 2 and a line that says what is right, before anything is started",
  async (home) => {
    await inTurns(CASES, async ([args, message]) => {
      const { stdout, stderr } = await home.expect(2, args);
      assert.match(stderr, message);
      assert.match(stderr, /^error: /);
      assert.doesNotMatch(stderr, /\n {4}at |Starting a worker/);
      assert.equal(stdout, "");
    });
  },
);

testTutti("with --json an error is one line of JSON on standard output", async (home) => {
  const cases = [
    [["sample", "x", "--guidance", "nan"], /^--guidance must be a number: .* "nan"$/],
    [["sample", "x", "--stpes", "3"], /^unknown option '--stpes' \(Did you mean --steps\?\)$/],
    [["sample"], /^missing required argument 'prompt'$/],
    [["ps", "--workers", "nowhere"], /^Address must be HOST:PORT/],
  ] as const;
  await inTurns(cases, async ([args, message]) => {
    const { stdout } = await home.expect(2, [...args, "--json"]);
    const lines = jsonLines(stdout);
    assert.equal(lines.length, 1, stdout);
    const { event, code, message: said } = lines[0]!;
    assert.deepEqual([event, code], ["error", "INVALID_ARGUMENT"]);
    assert.match(said as string, message);
  });
});

testTutti(
  "every command has help with an example, and tutti alone prints what there is",
  async (home) => {
    const { stdout } = await home.expect(0, []);
    const names = commandsIn(stdout);
    for (const name of ["sample", "worker", "up", "down", "ps", "health", "verify"]) {
      assert.ok(names.includes(name), `${name} is missing: ${names}`);
    }
    assert.match(stdout, /^Exit codes: 0 done, .* 130 interrupted$/m);
    assert.equal((await home.expect(0, ["--help"])).stdout, stdout);
    const { stdout: sample } = await home.expect(0, ["help", "sample"]);
    assert.equal((await home.expect(0, ["sample", "--help"])).stdout, sample);

    await inTurns(names, async (name) => {
      const { stdout: help } = await home.expect(0, [name, "--help"]);
      assert.ok(help.startsWith(`Usage: tutti ${name} `), help);
      // A group of commands shows its commands, each with examples of its own.
      const inner = commandsIn(help);
      for (const path of inner.length === 0 ? [[name]] : inner.map((command) => [name, command])) {
        const { stdout } = await home.expect(0, [...path, "--help"]);
        const [, examples] = stdout.split("\nExamples:\n");
        const start = `  tutti ${path.join(" ")}`;
        assert.ok(examples?.includes(start), `no example begins with "${start}":\n${stdout}`);
      }
    });
  },
);

testTutti(
  "sample and train have a short help, and a whole one that has every flag",
  async (home) => {
    const flagsIn = (help: string) =>
      [...help.matchAll(/^ {2}(?:-h, )?(--[a-z-]+)/gm)].map((m) => m[1]!);
    for (
      const [command, common, rare] of [["sample", "--steps", "--hedge"], [
        "train",
        "--lr",
        "--keep",
      ]]
    ) {
      const { stdout: short } = await home.expect(0, [command!, "--help"]);
      const { stdout: whole } = await home.expect(0, [command!, "--help", "all"]);
      const [some, all] = [flagsIn(short), flagsIn(whole)];
      assert.ok(some.length <= 16, short);
      assert.ok(some.includes(common!) && !some.includes(rare!), short);
      assert.ok(all.includes(rare!) && some.every((flag) => all.includes(flag)), whole);
      assert.equal(new Set(all).size, all.length);
      const [line] = /^tutti .* --help all shows the other (\d+) options: [A-Z][A-Za-z, \n]+$/m
        .exec(short)!;
      assert.ok(line.includes(` ${all.length - some.length} `), `${line} of ${all.length}`);
      assert.ok(short.endsWith(`${line.trimEnd()}\n`), short);
      assert.doesNotMatch(whole, /shows the other/);
      for (const text of [short, whole]) {
        const headings = text.match(/^[A-Z][a-z]+:$/gm)!;
        assert.ok(!headings.includes("Options:"), text);
        assert.ok(headings.indexOf("Basics:") < headings.indexOf("Experts:"), text);
      }
    }
  },
);

/** The commands that a help text lists, without `help` itself. */
function commandsIn(help: string): string[] {
  const [, list = ""] = help.split("\nCommands:\n");
  const names = list.split("\n\n")[0]!.matchAll(/^ {2}([a-z]+)(?: .*)? {2,}\S/gm);
  return [...names].map((match) => match[1]!).filter((name) => name !== "help");
}

testTutti("tutti --version prints the version of deno.json", async (home) => {
  const { default: project } = await import("../../../deno.json", { with: { type: "json" } });
  for (const flag of ["--version", "-V"]) {
    assert.equal((await home.expect(0, [flag])).stdout, `${project.version}\n`);
  }
});
