import assert from "node:assert/strict";
import { join } from "node:path";
import { parse } from "yaml";
import { provideDockerCompose } from "../support/docker_compose.ts";
import { DEPLOY, hasCommand, unknownFlags } from "./deploy_files.ts";

interface Compose {
  readonly services: Readonly<Record<string, { readonly command?: readonly string[] }>>;
}

const file = (name: string) => join(DEPLOY, "compose", name);
const compose = await provideDockerCompose();

Deno.test({
  name: `deploy/compose: docker-compose takes the files, alone and together${
    "reason" in compose ? ` (skipped: ${compose.reason})` : ""
  }`,
  ignore: "reason" in compose,
  fn: async () => {
    if ("reason" in compose) return;
    for (const names of [["compose.yaml"], ["compose.yaml", "compose.gpu.yaml"]]) {
      const { success, stderr } = await new Deno.Command(compose.program, {
        args: [...compose.args, ...names.flatMap((name) => ["-f", file(name)]), "config"],
        env: { ...compose.env, TUTTI_NATS_PASSWORD: "a-password-of-the-test" },
      }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
    }
  },
});

Deno.test("deploy/compose: the services' command lines have flags that exist", async () => {
  const text = await Deno.readTextFile(file("compose.yaml"));
  const { services } = parse(text, { merge: true }) as Compose;
  assert.deepEqual(Object.keys(services), ["nats", "round", "square", "pointed", "coordinator"]);
  for (const [name, { command }] of Object.entries(services)) {
    if (name === "nats" || !await hasCommand(command![0]!)) continue;
    assert.deepEqual(await unknownFlags(command!), [], name);
  }
});
