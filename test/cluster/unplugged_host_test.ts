import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";
import { TestNetwork } from "../support/net_namespace.ts";
import { testOnNetwork } from "../support/on_network.ts";
import { jsonLines, TuttiHome, type TuttiProcess } from "../support/run_tutti.ts";
import { eventually } from "../support/serve_expert.ts";
import { PROMPT, zooPath } from "../support/zoo.ts";

/** Each replica is a host with a cable of its own to the coordinator's. */
const REPLICAS = ["left", "right"] as const;
const NETWORK = {
  hosts: ["here", ...REPLICAS],
  cables: REPLICAS.map((host) => ({ between: ["here", host] as const })),
};
const PORT = 7070;
/** On a machine with few cores and other work. */
const TIMEOUT_MS = 300_000;

type Host = typeof REPLICAS[number];

interface SampleLine {
  readonly replicas: {
    readonly losses: readonly { readonly reason: string }[];
    readonly failovers: readonly unknown[];
    readonly parked: number;
  };
}

/** One expert with a replica on each host, and a coordinator on the third. */
class Hosts {
  readonly #home: TuttiHome;
  readonly #network: TestNetwork;
  readonly #addresses: string;

  private constructor(home: TuttiHome, network: TestNetwork) {
    this.#home = home;
    this.#network = network;
    this.#addresses = REPLICAS.map((host) => `${network.address(host, "here")}:${PORT}`).join("+");
  }

  static async start(home: TuttiHome, network: TestNetwork): Promise<Hosts> {
    const hosts = new Hosts(home, network);
    await Promise.all(REPLICAS.map(async (host) => {
      const listen = ["--listen", `${network.address(host, "here")}:${PORT}`, "--insecure"];
      const model = ["--model", zooPath("round"), "--threads", "1"];
      const worker = hosts.#start(host, ["worker", ...model, ...listen]);
      // It is killed with its host.
      worker.result.catch(() => {});
      await worker.says(/^Worker ready at /m);
    }));
    return hosts;
  }

  /** Draws a picture, while `meanwhile` happens to the host that has the session. */
  async draw(
    meanwhile?: (host: Host, run: TuttiProcess) => Promise<void>,
  ): Promise<SampleLine & { bits: Uint8Array }> {
    const { path } = this.#home;
    const files = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
    const run = this.#start("here", [
      ...["sample", PROMPT, "--workers", this.#addresses, ...files],
      ...["--steps", "60", "--seed", "1", "--save-latents", `${path}/latents.safetensors`],
      ...["--out", `${path}/picture.png`, "--park", "120", "--stats", "--json"],
    ]);
    if (meanwhile) await meanwhile(await this.#busy(), run);
    const { code, stdout, stderr } = await run.result;
    assert.equal(code, 0, stdout + stderr);
    const line = jsonLines<SampleLine>(stdout).at(-1)!;
    return { ...line, bits: await readFile(`${path}/latents.safetensors`) };
  }

  unplug(host: Host): Promise<void> {
    return this.#network.unplug(["here", host]);
  }

  plugIn(host: Host): Promise<void> {
    return this.#network.plugIn(["here", host]);
  }

  /** The host on which the picture is being drawn. */
  async #busy(): Promise<Host> {
    let busy: Host | undefined;
    await eventually(async () => {
      const workers = ["--workers", this.#addresses.replace("+", ",")];
      const { stdout } = await this.#start("here", ["ps", ...workers, "--json"]).result;
      const lines = jsonLines<{ address: string; sessions: number }>(stdout);
      const address = lines.find(({ sessions }) => sessions > 0)?.address;
      busy = REPLICAS.find((host) => `${this.#network.address(host, "here")}:${PORT}` === address);
      return busy !== undefined;
    });
    return busy!;
  }

  #start(host: string, args: readonly string[]) {
    const tutti = ["run", "-q", "-A", MAIN_PROGRAM, ...args];
    const { program, args: all } = this.#network.command(host, Deno.execPath(), tutti);
    return this.#home.startProgram(program, all, { timeoutMs: TIMEOUT_MS });
  }
}

testOnNetwork(
  "a host whose cable is unplugged in the middle of a picture is replaced, or waited for: no bit changes",
  async (t) => {
    const home = await TuttiHome.create();
    try {
      await using network = await TestNetwork.create(NETWORK);
      const hosts = await Hosts.start(home, network);
      const undisturbed = await hosts.draw();
      assert.deepEqual(undisturbed.replicas.losses, []);

      await t.step("the other host goes on", async () => {
        let unplugged: Host | undefined;
        const { replicas, bits } = await hosts.draw(async (host) => {
          unplugged = host;
          await hosts.unplug(host);
        });
        assert.ok(replicas.losses.length > 0 && replicas.failovers.length > 0);
        assert.deepEqual(bits, undisturbed.bits);
        await hosts.plugIn(unplugged!);
      });

      await t.step("with no host left, the picture waits for one", async () => {
        const { replicas, bits } = await hosts.draw(async (host, run) => {
          for (const each of REPLICAS) await hosts.unplug(each);
          await run.says(/has no worker left and waits up to 120 s for one/);
          await hosts.plugIn(host);
        });
        assert.ok(replicas.losses.length > 0 && replicas.parked > 0);
        assert.deepEqual(bits, undisturbed.bits);
      });
    } finally {
      await home.killProcesses();
      await Deno.remove(home.path, { recursive: true });
    }
  },
);
