import assert from "node:assert/strict";
import { FileCheckpoint } from "../../coordinator/jobs/checkpoint_store.ts";
import { testTutti } from "../support/run_tutti.ts";
import { eventually } from "../support/serve_expert.ts";
import { PROMPT } from "../support/zoo.ts";

const STEPS = 6;
const SEEDLESS = ["sample", PROMPT, "--steps", String(STEPS), "--batch", "2"];
const RUN = [...SEEDLESS, "--seed", "7"];

testTutti(
  "a run that is killed goes on to the same bits, with the same settings only",
  async (home) => {
    await home.expect(0, ["up"]);
    const outputs = (name: string) => ["--out", `${name}.png`, "--save-latents", `${name}.latents`];
    await home.expect(0, [...RUN, ...outputs("whole")]);

    const kept = new FileCheckpoint(home.file("run.ckpt"));
    const killed = ["--checkpoint", "run.ckpt", "--resume", ...outputs("killed")];
    // Killed twice, each time after 1 or 2 more steps, wherever in the step after that.
    let done = 0;
    for (const kills of [0, 1]) {
      const goal = done + 1 + Math.floor(2 * Math.random());
      const run = home.start([...RUN, ...killed]);
      await eventually(async () => ((await kept.load())?.stepIndex ?? -1) + 1 >= goal);
      run.kill("SIGKILL");
      const { stderr } = await run.result;
      if (kills > 0) assert.match(stderr, new RegExp(`Going on after step ${done} of ${STEPS}`));
      else assert.match(stderr, /No step is kept in "run.ckpt" yet: starting anew/);
      done = (await kept.load())!.stepIndex + 1;
      assert.ok(done >= goal);
    }

    const twice = await home.expect(2, [...RUN, "--checkpoint", "run.ckpt"]);
    assert.match(twice.stderr, /--checkpoint "run.ckpt" is there already: go on .* --resume/);
    const otherSetting = await home.expect(1, [...RUN, ...killed, "--negative", "a ring"]);
    assert.match(
      otherSetting.stderr,
      /of another run: negative must be .* current value is .*a ring/,
    );
    const checkpoint = (await kept.load())!;
    const conditions = { ...checkpoint.conditions, "experts[1].modelHash": "0".repeat(64) };
    await kept.save({ ...checkpoint, conditions });
    const otherModel = await home.expect(1, [...RUN, ...killed]);
    assert.match(otherModel.stderr, /another run: experts\[1\]\.modelHash must be "0+": current/);
    await kept.save(checkpoint);

    // Without a seed the run's own go on.
    const [result] = await home.json([...SEEDLESS, ...killed]);
    assert.equal(result!.resumedAfterStep, done);
    for (const end of ["-1.png", "-2.png", ".latents"]) {
      const [whole, resumed] = await Promise.all(
        ["whole", "killed"].map((name) => Deno.readFile(home.file(name + end))),
      );
      assert.deepEqual(resumed, whole, end);
    }
    const names = await Array.fromAsync(Deno.readDir(home.file()), ({ name }) => name);
    assert.deepEqual(names.filter((name) => name.startsWith("run.ckpt")), []);
    await home.expect(0, ["down"]);
  },
);
