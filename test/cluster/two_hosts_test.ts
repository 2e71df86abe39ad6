import assert from "node:assert/strict";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";
import { TestNetwork } from "../support/net_namespace.ts";
import { testOnNetwork } from "../support/on_network.ts";
import { TuttiHome } from "../support/run_tutti.ts";
import { PROMPT, readPng, ZOO_EXPERTS, zooPath } from "../support/zoo.ts";

type Expert = typeof ZOO_EXPERTS[number];

/** Who serves what: each host has a cable of its own to the coordinator, and none to the other. */
const HOST_OF: Readonly<Record<Expert, string>> = {
  round: "left",
  square: "right",
  pointed: "left",
};
const NETWORK = {
  hosts: ["coordinator", "left", "right"],
  cables: [
    { between: ["coordinator", "left"], mbitPerSecond: 1000 },
    { between: ["coordinator", "right"], mbitPerSecond: 1000 },
  ],
} as const;
/** Of the README; between hosts feature maps would be f16 by default. */
const SAMPLE = ["sample", PROMPT, "--seed", "1", "--wire-dtype", "f32"];

/** Two runs of 50 steps, on a machine with few cores and other work. */
const TIMEOUT_MS = 300_000;

/** Bits depend on the threads, and a host has the cores of this machine. */
function workerArgs(expert: Expert, listen: readonly string[]): string[] {
  return ["worker", "--model", zooPath(expert), "--threads", "1", "--listen", ...listen];
}

/** Starts `tutti` on a host of the network. */
function startOn(home: TuttiHome, network: TestNetwork, host: string, args: readonly string[]) {
  const deno = ["run", "-q", "-A", MAIN_PROGRAM, ...args];
  const { program, args: all } = network.command(host, Deno.execPath(), deno);
  return home.startProgram(program, all, { timeoutMs: TIMEOUT_MS });
}

async function startWorkers(home: TuttiHome, network?: TestNetwork): Promise<string> {
  const addresses = await Promise.all(ZOO_EXPERTS.map(async (expert) => {
    const host = HOST_OF[expert];
    const worker = network
      ? startOn(
        home,
        network,
        host,
        workerArgs(expert, [`${network.address(host, "coordinator")}:0`, "--insecure"]),
      )
      : home.start(workerArgs(expert, ["127.0.0.1:0"]), { timeoutMs: TIMEOUT_MS });
    // What it says when it is killed at the end is of no interest.
    worker.result.catch(() => {});
    const [, address] = await worker.says(/^Worker ready at ([\d.]+:\d+): serving/m);
    return address!;
  }));
  return addresses.join();
}

async function pictureOf(home: TuttiHome, name: string) {
  const latents = await Deno.readFile(home.file(`${name}.safetensors`));
  return { latents, rgb: (await readPng(home.file(`${name}.png`))).rgb };
}

testOnNetwork("two hosts draw the README's picture with the bits of one", async () => {
  const home = await TuttiHome.create();
  const files = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
  const sabw = ["--sabw", zooPath("sabw")];
  const flags = (name: string, workers: string) => [
    ...[...SAMPLE, "--workers", workers, ...files, ...sabw],
    ...["--save-latents", `${name}.safetensors`, "--out", `${name}.png`],
  ];
  try {
    await home.expect(0, flags("loopback", await startWorkers(home)), { timeoutMs: TIMEOUT_MS });
    await home.killProcesses();
    {
      await using network = await TestNetwork.create(NETWORK);
      const workers = await startWorkers(home, network);
      assert.match(workers, /^10\.86\.0\.2:\d+,10\.86\.1\.2:\d+,10\.86\.0\.2:\d+$/);
      const { code, stdout, stderr } = await startOn(
        home,
        network,
        "coordinator",
        flags("hosts", workers),
      ).result;
      assert.equal(code, 0, stdout + stderr);
      for (const host of ["left", "right"]) {
        const device = network.device("coordinator", host);
        const counter = `/sys/class/net/${device}/statistics/tx_bytes`;
        const sentBytes = Number(await network.run("coordinator", "cat", [counter]));
        assert.ok(sentBytes > 1e6, `only ${sentBytes} bytes went to ${host}`);
      }
    }
    await home.assertNoProcesses();

    const [loopback, hosts] = [await pictureOf(home, "loopback"), await pictureOf(home, "hosts")];
    assert.ok(hosts.latents.length > 1000);
    assert.deepEqual(hosts.latents, loopback.latents);
    assert.deepEqual(hosts.rgb, loopback.rgb);
    // And it is the picture that the README shows.
    const shown = await readPng(zooPath("green-heart-above-yellow-square.png"));
    const worst = hosts.rgb.reduce((max, v, i) => Math.max(max, Math.abs(v - shown.rgb[i]!)), 0);
    assert.ok(worst <= 2, `the README's picture differs by ${worst} of 255`);
  } finally {
    await home.killProcesses();
    await Deno.remove(home.path, { recursive: true });
  }
});
