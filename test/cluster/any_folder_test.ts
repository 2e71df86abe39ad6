/** Commands from any folder, and from npx. */

import assert from "node:assert/strict";
import { cp } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";
import { testTutti } from "../support/run_tutti.ts";
import { PROMPT, zooPath } from "../support/zoo.ts";

const TASKS = join(dirname(MAIN_PROGRAM), "deno.json");

testTutti("a task's relative paths mean the user's folder, a child's its own", async (home) => {
  await cp(zooPath("round"), home.file("mine"), { recursive: true });
  const task = ["task", "--quiet", "--config", TASKS, "tutti", "inspect", "mine"];
  // These tests run in a task themselves, and Deno keeps the folder of the outermost.
  const { code, stdout, stderr } = await home.startProgram("env", [
    ...["-u", "INIT_CWD", Deno.execPath()],
    ...task,
  ]).result;
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^model +mine$/m);
  // In a task that went into another folder.
  await home.expect(0, ["inspect", "mine"], { env: { INIT_CWD: "/" } });
});

/** As npm starts a program: by a shell that hands no signal on. */
const AS_NPX = `exec -a "npm exec deno" bash -c 'sh -c "$LINE; true"; true'`;

testTutti("who is started by npx ends with it, workers included", async (home) => {
  const sample = ["sample", PROMPT, "--steps", "1000", "--size", "64"];
  const words = [Deno.execPath(), "run", "-q", "-A", MAIN_PROGRAM, ...sample];
  const env = { npm_command: "exec", LINE: words.map((word) => `'${word}'`).join(" ") };
  const npx = home.startProgram("bash", ["-c", AS_NPX], { env });
  await npx.says(/Sampling 0\/1000/);
  assert.equal((await home.workers()).length, 3);
  npx.kill("SIGTERM");
  await npx.result;
  await home.assertNoProcesses();
});
