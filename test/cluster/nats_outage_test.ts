import assert from "node:assert/strict";
import {
  SHARED_PARTS,
  testWithAnnounced,
  writeNamedEnsemble,
} from "../support/announced_workers.ts";
import { eventually } from "../support/serve_expert.ts";
import { PROMPT } from "../support/zoo.ts";

testWithAnnounced("NATS that goes away in the middle touches no image", ["round", "square"], async (
  { server, home, env, ps },
) => {
  const drawing = (out: string) => [
    ...["sample", PROMPT, "--steps", "20", "--seed", "7"],
    ...["--out", `${out}.png`, "--save-latents", `${out}.safetensors`],
  ];
  const latents = (out: string) => Deno.readFile(home.file(`${out}.safetensors`));
  await home.expect(0, [...drawing("calm"), "--experts", "round,square", ...SHARED_PARTS], { env });

  const ensemble = await writeNamedEnsemble(home, { round: {}, square: {} });
  const running = home.start(
    [...drawing("storm"), "--ensemble", ensemble, "--checkpoint", "storm.ckpt"],
    { env },
  );
  // The first step is done: all workers are at work.
  await eventually(() => Deno.stat(home.file("storm.ckpt")).then(() => true, () => false));
  await server.kill();
  const { code, stderr } = await running.result;
  assert.equal(code, 0, stderr);
  assert.match(
    stderr,
    /warning: the NATS server is away\. Until it is back, the workers that were known last \(2\) are used/,
  );
  assert.deepEqual(await latents("storm"), await latents("calm"));

  await server.restart({ emptyStore: true });
  await eventually(async () => (await ps()).length === 2);
});
