import assert from "node:assert/strict";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";
import { TestNetwork } from "../support/net_namespace.ts";
import { testOnNetwork } from "../support/on_network.ts";
import { docBlocks } from "../support/doc_blocks.ts";
import { TuttiHome } from "../support/run_tutti.ts";
import { readPng, zooPath } from "../support/zoo.ts";

/** The documentation's names, and those of their namespaces. Each has a cable of its own to `here`, and none to the other. */
const HOSTS = { "gpu-1": "left", "gpu-2": "right" } as const;
const NETWORK = {
  hosts: ["here", "left", "right"],
  cables: [
    { between: ["here", "left"], mbitPerSecond: 1000 },
    { between: ["here", "right"], mbitPerSecond: 1000 },
  ],
} as const;
/** On a machine with few cores and other work. */
const TIMEOUT_MS = 300_000;
/** What makes the documentation's picture a quick one, and tells of it. */
const SAMPLE_FLAGS = ["--steps", "2", "--seed", "1", "--save-latents", "latents.safetensors"];
/** Bits depend on the threads. */
const THREADS = ["--threads", "1"];

const [copyCerts, serve, draw, ...others] = await docBlocks("operations.md", "Security");

/** Stands in for three machines: programs that the documentation's commands call, and a folder for each machine. */
async function layOut(home: TuttiHome, network: TestNetwork): Promise<void> {
  const programs: Readonly<Record<string, string>> = {
    tutti: `case $1 in
  sample) set -- "$@" ${SAMPLE_FLAGS.join(" ")} --stats --out picture.png ;;
  worker) set -- "$@" ${THREADS.join(" ")} ;;
esac
exec ${Deno.execPath()} run -q -A ${MAIN_PROGRAM} "$@"`,
    // It joins its arguments for a shell in the login's folder, as the real one does.
    ssh: `cd ${home.file()}/$1 && shift && exec sh -c "$*"`,
  };
  await mkdir(home.file("bin"));
  for (const [name, text] of Object.entries(programs)) {
    await writeFile(home.file("bin", name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }
  for (const host of ["here", ...Object.keys(HOSTS)]) {
    const checkout = home.file(host, "tutti");
    await mkdir(checkout, { recursive: true });
    await symlink(join(MAIN_PROGRAM, "..", "shared"), join(checkout, "shared"));
  }
  const lines = Object.entries(HOSTS).map(([name, host]) =>
    `${network.address(host, "here")} ${name}\n`
  );
  await writeFile(home.file("hosts"), lines.join(""));
}

/** Runs the documentation's commands on a machine, in its checkout. */
function startThere(home: TuttiHome, network: TestNetwork, name: string, commands: string) {
  const host = name in HOSTS ? HOSTS[name as keyof typeof HOSTS] : name;
  // A namespace has its own mounts: no one else sees these names.
  const script = `set -euo pipefail
mount --bind ${home.file("hosts")} /etc/hosts
cd ${home.file(name, "tutti")}
${commands}`;
  const { program, args } = network.command(host, "bash", ["-c", script]);
  const path = `${home.file("bin")}${delimiter}${Deno.env.get("PATH")}`;
  return home.startProgram(program, args, { timeoutMs: TIMEOUT_MS, env: { PATH: path } });
}

async function runHere(home: TuttiHome, network: TestNetwork, commands: string): Promise<string> {
  const { code, stdout, stderr } = await startThere(home, network, "here", commands).result;
  assert.equal(code, 0, stdout + stderr);
  return stdout;
}

/** Draws the documentation's picture on this machine, in the dtype that it has between hosts. */
async function drawLocally(home: TuttiHome): Promise<void> {
  const [, prompt] = /tutti sample "([^"]+)"/.exec(draw!)!;
  const addresses = await Promise.all(["round", "square"].map(async (expert) => {
    const model = ["--model", zooPath(expert), "--listen", "127.0.0.1:0"];
    const worker = home.start(["worker", ...model, ...THREADS], { timeoutMs: TIMEOUT_MS });
    // What it says when it is killed at the end is of no interest.
    worker.result.catch(() => {});
    return (await worker.says(/^Worker ready at ([\d.:]+):/m))[1]!;
  }));
  const files = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
  const flags = ["--workers", addresses.join(), ...files, "--wire-dtype", "f16", ...SAMPLE_FLAGS];
  await home.expect(0, ["sample", prompt!, ...flags, "--out", "picture.png"], {
    timeoutMs: TIMEOUT_MS,
  });
  await home.killProcesses();
}

testOnNetwork(
  "commands of docs/operations.md for other hosts draw the bits of local workers over mTLS",
  async () => {
    assert.deepEqual(
      others,
      [],
      "docs/operations.md has a block of commands that this test does not know",
    );
    const home = await TuttiHome.create();
    try {
      {
        await using network = await TestNetwork.create(NETWORK);
        await layOut(home, network);
        await runHere(home, network, copyCerts!);
        for (const name of Object.keys(HOSTS)) {
          assert.deepEqual((await readdir(home.file(name, "tutti", "certs"))).sort(), [
            ...["ca.pem", "tokens", "worker.key", "worker.pem"],
          ]);
        }
        await Promise.all(
          Object.keys(HOSTS).map(async (name) => {
            const commands = name === "gpu-1"
              ? serve!
              : serve!.replaceAll("zoo/round", "zoo/square");
            const worker = startThere(home, network, name, commands);
            worker.result.catch(() => {});
            await worker.says(/^Worker ready at 0\.0\.0\.0:7070: serving/m);
          }),
        );
        const printed = await runHere(home, network, draw!);
        assert.match(printed, /gpu-1:7070 tcp, gpu-2:7070 tcp/);
        for (const name of Object.keys(HOSTS)) assert.match(printed, new RegExp(`${name}:7070`));
        for (const host of Object.values(HOSTS)) {
          const counter = `/sys/class/net/${network.device("here", host)}/statistics/tx_bytes`;
          const sentBytes = Number(await network.run("here", "cat", [counter]));
          assert.ok(sentBytes > 1e5, `only ${sentBytes} bytes went to ${host}`);
        }
      }
      await home.assertNoProcesses();
      await drawLocally(home);
      const there = (name: string) => home.file("here", "tutti", name);
      const latents = await readFile(there("latents.safetensors"));
      assert.ok(latents.length > 1000);
      assert.deepEqual(latents, await readFile(home.file("latents.safetensors")));
      const [hosts, local] = [
        await readPng(there("picture.png")),
        await readPng(home.file("picture.png")),
      ];
      assert.deepEqual(hosts.rgb, local.rgb);
    } finally {
      await home.killProcesses();
      await Deno.remove(home.path, { recursive: true });
    }
  },
);
