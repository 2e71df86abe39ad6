import assert from "node:assert/strict";
import { join } from "node:path";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";
import { tryRun } from "../support/run_program.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { DEPLOY, hasCommand, unknownFlags } from "./deploy_files.ts";

const UNITS = ["tutti-worker@.service", "tutti-coordinator.service"];
const hasSystemd = await tryRun("systemd-analyze", ["--version"]);

/** What systemd says of a unit that runs this machine's programs: it warns of unknown keys, and ends with 0. */
async function complaints(unit: string, change = (text: string) => text): Promise<string> {
  await using folder = await tempFolder();
  const text = await Deno.readTextFile(join(DEPLOY, "systemd", unit));
  const path = folder.join(unit.replace("@", "@photo"));
  await Deno.writeTextFile(
    path,
    change(text.replaceAll("/usr/local/bin/deno", Deno.execPath())),
  );
  const { stderr } = await new Deno.Command("systemd-analyze", { args: ["verify", path] }).output();
  return new TextDecoder().decode(stderr);
}

for (const unit of UNITS) {
  Deno.test({
    name: `deploy/systemd: systemd finds nothing wrong with ${unit}${
      hasSystemd ? "" : " (skipped: there is no systemd-analyze)"
    }`,
    ignore: !hasSystemd,
    fn: async () => {
      assert.equal(await complaints(unit), "");
      const misspelt = (text: string) => text.replace("RestartSec=", "RestartSecs=");
      assert.match(await complaints(unit, misspelt), /RestartSecs/);
    },
  });

  Deno.test(`deploy/systemd: the command line of ${unit} has flags that exist`, async () => {
    const text = await Deno.readTextFile(join(DEPLOY, "systemd", unit));
    const line = /^ExecStart=.* \S+main\.ts (.*)$/m.exec(text)![1]!;
    const args = line.split(" ");
    if (await hasCommand(args[0]!)) assert.deepEqual(await unknownFlags(args), []);
    const stop = Number(/^TimeoutStopSec=(\d+)$/m.exec(text)![1]);
    assert.ok(stop > 25);
    assert.ok((await Deno.stat(MAIN_PROGRAM)).isFile);
  });

  Deno.test(`deploy/systemd: what ${unit} keeps is in folders that it may write`, async () => {
    const text = await Deno.readTextFile(join(DEPLOY, "systemd", unit));
    assert.match(text, /^ProtectSystem=strict$/m);
    const setting = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(text)![1]!;
    const writable = [`%S/${setting("StateDirectory")}`, `%C/${setting("CacheDirectory")}`];
    const folders = setting("Environment").split(" ").map((entry) => entry.split("=")[1]!);
    assert.equal(folders.length, 3);
    for (const folder of [...folders, setting("WorkingDirectory")]) {
      assert.ok(writable.some((path) => `${folder}/`.startsWith(`${path}/`)), folder);
    }
    // Users of instances differ (DynamicUser).
    if (unit.includes("@")) assert.ok(writable.every((path) => path.includes("%i")));
  });
}
