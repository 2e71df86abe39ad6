import assert from "node:assert/strict";
import { testTutti } from "../support/run_tutti.ts";
import { PROMPT, readPng } from "../support/zoo.ts";

testTutti("tutti sample --from draws a picture again", async (home, t) => {
  await home.expect(0, ["up"]);
  const draw = (...args: string[]) => home.expect(0, ["sample", ...args]);
  const picture = (name: string) => readPng(home.file(name));

  await draw(
    ...[PROMPT, "--steps", "3", "--seed", "11", "--negative", "blurry", "--guidance", "5"],
    ...["--sampler", "k_euler_a", "--schedule", "karras", "--eta", "0.7"],
    ...["--method", "switch:round=0,square=0.5", "--out", "first.png"],
  );
  const first = await picture("first.png");
  const record = JSON.parse(first.text.tutti!);

  await t.step("to the bit, without a word", async () => {
    const { stderr } = await draw("--from", "first.png", "--out", "again.png");
    assert.doesNotMatch(stderr, /warning/);
    const again = await picture("again.png");
    assert.deepEqual(again.rgb, first.rgb);
    assert.deepEqual(JSON.parse(again.text.tutti!), record);
    assert.deepEqual([record.sampler, record.schedule, record.eta], ["euler_a", "karras", 0.7]);
  });

  await t.step("with churn, and guidance rescaled in a part of the steps", async () => {
    await draw(
      ...[PROMPT, "--steps", "4", "--seed", "11", "--sampler", "heun", "--schedule", "SGM Uniform"],
      ...["--churn", "3", "--s-tmin", "0.1", "--s-tmax", "10", "--s-noise", "1.003"],
      ...["--guidance-rescale", "0.7", "--guidance-interval", "0.25..0.75", "--out", "churn.png"],
    );
    await draw("--from", "churn.png", "--out", "churn-again.png");
    const [once, again] = [await picture("churn.png"), await picture("churn-again.png")];
    assert.deepEqual(again.rgb, once.rgb);
    const said = JSON.parse(again.text.tutti!);
    assert.deepEqual(said, JSON.parse(once.text.tutti!));
    const { schedule, churn, sTmin, sTmax, sNoise, guidanceRescale, guidanceInterval } = said;
    assert.deepEqual([schedule, churn, sTmin, sTmax, sNoise, guidanceRescale, guidanceInterval], [
      ...["sgm_uniform", 3, 0.1, 10, 1.003, 0.7],
      { from: 0.25, to: 0.75 },
    ]);
    await draw("--from", "churn.png", "--guidance-interval", "0..1", "--out", "all.png");
    assert.notDeepEqual((await picture("all.png")).rgb, once.rgb);
  });

  await t.step("flags change what it says", async () => {
    await draw("--from", "first.png", "--seed", "12", "--out", "other.png");
    assert.notDeepEqual((await picture("other.png")).rgb, first.rgb);
  });

  await t.step("what else differs is said", async () => {
    const { stderr } = await draw("--from", "first.png", "--sampler", "ddim", "--eta", "0", ...[
      "--schedule=karras",
      "--out",
      "x.png",
    ]).catch((error) => ({ stderr: String(error) }));
    assert.match(stderr, /"karras" is for samplers on noise levels/);
    const { stderr: warned } = await draw("--from", "first.png", "--sampler", "euler_a", ...[
      "--method",
      "only:square",
      "--out",
      "y.png",
    ]);
    assert.match(warned, /warning: method was "switch .*" and is "only 1": expect other bits/);
  });

  await t.step("no picture, or one that says nothing, is refused by name", async () => {
    await Deno.writeTextFile(home.file("words.png"), "no picture at all");
    for (const name of ["nowhere.png", "words.png"]) {
      await home.expect(4, ["sample", "--from", name]);
    }
  });
  await home.expect(0, ["down"]);
});
