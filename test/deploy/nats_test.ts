import assert from "node:assert/strict";
import { join } from "node:path";
import { findNatsServer } from "../support/nats_program.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { DEPLOY } from "./deploy_files.ts";

const nats = await findNatsServer();

Deno.test({
  name: `deploy/nats: nats-server takes the configuration, and no password is in it${
    "reason" in nats ? ` (skipped: ${nats.reason})` : ""
  }`,
  ignore: "reason" in nats,
  fn: async () => {
    await using folder = await tempFolder();
    const text = await Deno.readTextFile(join(DEPLOY, "nats", "nats-server.conf"));
    assert.match(text, /password: \$TUTTI_NATS_PASSWORD/);
    const check = async (config: string, env: Record<string, string>) => {
      await Deno.writeTextFile(folder.join("nats.conf"), config);
      const { success, stderr } = await new Deno.Command((nats as { path: string }).path, {
        args: ["-t", "-c", folder.join("nats.conf")],
        env,
      }).output();
      return { success, said: new TextDecoder().decode(stderr) };
    };
    // As the files beside it make one; nats-server reads one that begins with a digit as a number, and fails at "1e5a".
    const env = { TUTTI_NATS_PASSWORD: "tutti-1e5a" };
    const { success, said } = await check(text, env);
    assert.ok(success, said);
    assert.ok(!(await check(text, {})).success, "it starts without a password");
    assert.ok(!(await check(text.replace("jetstream {", "jetstream { storage: 1"), env)).success);
  },
});
