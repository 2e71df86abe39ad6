import assert from "node:assert/strict";
import { benchMachine, sourceCommit } from "../../../coordinator/bench/bench_machine.ts";
import { tempFolder } from "../../support/temp_folder.ts";

async function git(folder: string, ...args: string[]): Promise<void> {
  const identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
  const { success, stderr } = await new Deno.Command("git", {
    args: ["-C", folder, ...identity, ...args],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

const hasGit = await new Deno.Command("git", { args: ["--version"], stdout: "null" }).output()
  .then(({ success }) => success, () => false);

Deno.test("benchMachine() tells processor, cores and memory", () => {
  const { cpu, cores, memoryBytes } = benchMachine();
  assert.notEqual(cpu, "");
  assert.ok(cores >= 1 && memoryBytes > 1e9, `${cores} cores, ${memoryBytes} bytes`);
});

Deno.test({
  name: "sourceCommit() names the commit, and says when files have changed since",
  ignore: !hasGit,
  fn: async () => {
    await using folder = await tempFolder();
    assert.equal(await sourceCommit(folder.join("nowhere")), "unknown");
    assert.equal(await sourceCommit(folder.path), "unknown");
    await git(folder.path, "init", "--quiet");
    await Deno.mkdir(folder.join("below"));
    await Deno.writeTextFile(folder.join("below", "a.txt"), "a");
    await git(folder.path, "add", ".");
    await git(folder.path, "commit", "--quiet", "--message", "a");
    const commit = await sourceCommit(folder.path);
    assert.match(commit, /^[0-9a-f]{40}$/);
    // A repository that only contains these sources says nothing about them.
    assert.equal(await sourceCommit(folder.join("below")), "unknown");
    await Deno.writeTextFile(folder.join("results.jsonl"), "not tracked");
    assert.equal(await sourceCommit(folder.path), commit);
    await Deno.writeTextFile(folder.join("below", "a.txt"), "b");
    assert.equal(await sourceCommit(folder.path), `${commit}-dirty`);
  },
});
