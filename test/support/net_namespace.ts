/**
 * A small network of its own: hosts are Linux network namespaces, cables are veth pairs, rates are `tc tbf`. Programs run
 * on a host as they are (`command()`), so whatever they do over TCP happens between two hosts in all but the metal.
 *
 * Two things it is not. It has no delay and no loss: those take the kernel's `netem`, which many kernels lack, so delay
 * is the business of `link_proxy.ts`. And the hosts share this machine's cores, so a fast link is as fast as those.
 *
 * Namespaces are named `tutti-PID-RANDOM-HOST`. Disposing ends the programs on the hosts and removes everything; what a
 * run left behind that was killed is removed when the next network is made.
 *
 * @module
 */

import { readdir } from "node:fs/promises";
import { TuttiError } from "../../shared/errors.ts";
import { run, tryRun } from "./run_program.ts";

export interface CablePlan {
  /** Two hosts. */
  readonly between: readonly [string, string];
  /** Each direction has this rate; without it as fast as the machine can. */
  readonly mbitPerSecond?: number;
}

export interface NetworkPlan {
  /** Short lower-case words: they become part of the namespaces' names. */
  readonly hosts: readonly string[];
  readonly cables: readonly CablePlan[];
}

/** A program and its arguments. */
export interface CommandLine {
  readonly program: string;
  readonly args: readonly string[];
}

/** One end of a cable. */
interface Plug {
  readonly device: string;
  readonly address: string;
}

const PREFIX = "tutti";
const HOST = /^[a-z][a-z0-9]{0,15}$/;
/**
 * A bucket must hold what comes between two timer ticks of the shaper, and one packet that the kernel has not cut yet
 * (64 kB): with less a fast link stays below its rate.
 */
const BURST_SECONDS = 0.001;
const MIN_BURST_BYTES = 128 * 1024;
/** How long the shaper's queue is: beyond it packets are dropped, and TCP slows down. */
const QUEUE_MS = 50;
/** Programs that are killed are gone in a moment. */
const END_TIMEOUT_MS = 5_000;

export class TestNetwork implements AsyncDisposable {
  readonly #id: string;
  readonly #hosts: ReadonlySet<string>;
  /** Host and peer -> the host's end of the cable to the peer. */
  readonly #plugs = new Map<string, Plug>();

  private constructor(hosts: readonly string[]) {
    const random = crypto.getRandomValues(new Uint32Array(1))[0]!.toString(36);
    this.#id = `${PREFIX}-${Deno.pid}-${random}`;
    this.#hosts = new Set(hosts);
  }

  /** @throws {TuttiError} FAILED_PRECONDITION if a command fails; what was made before is removed again */
  static async create({ hosts, cables }: NetworkPlan): Promise<TestNetwork> {
    const bad = hosts.find((host) => !HOST.test(host));
    if (bad !== undefined) {
      throw new TuttiError(
        "INVALID_ARGUMENT",
        `Name of a host must match ${HOST}: current value is "${bad}"`,
      );
    }
    await removeLeftNamespaces();
    const network = new TestNetwork(hosts);
    try {
      for (const host of network.#hosts) {
        await run("ip", ["netns", "add", network.namespace(host)]);
        await network.#ip(host, "link", "set", "lo", "up");
      }
      for (const [index, cable] of cables.entries()) await network.#lay(cable, index);
      return network;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  namespace(host: string): string {
    if (this.#hosts.has(host)) return `${this.#id}-${host}`;
    throw new TuttiError("NOT_FOUND", `The network has no host "${host}"`);
  }

  /** IPv4 address of a host on its cable to `peer`. */
  address(host: string, peer: string): string {
    return this.#plug(host, peer).address;
  }

  /** Network device of a host on its cable to `peer`: its counters are in `/sys/class/net` as the host sees it. */
  device(host: string, peer: string): string {
    return this.#plug(host, peer).device;
  }

  /** What to start so that `program` runs on a host. The process that is started is the program itself. */
  command(host: string, program: string, args: readonly string[] = []): CommandLine {
    return {
      program: "ip",
      args: ["netns", "exec", this.namespace(host), program, ...args],
    };
  }

  /**
   * Runs a program on a host until it ends.
   *
   * @returns its standard output
   * @throws {TuttiError} FAILED_PRECONDITION with its standard error if it fails
   */
  run(host: string, program: string, args: readonly string[] = []): Promise<string> {
    const command = this.command(host, program, args);
    return run(command.program, command.args);
  }

  /** Another rate for a cable, both directions; without one it is as fast as the machine can. */
  async setRate([a, b]: readonly [string, string], mbitPerSecond?: number): Promise<void> {
    for (const [host, peer] of [[a, b], [b, a]] as const) {
      const { device } = this.#plug(host, peer);
      await tryRun("tc", ["-n", this.namespace(host), "qdisc", "del", "dev", device, "root"]);
      if (mbitPerSecond === undefined) continue;
      const burstBytes = Math.max(MIN_BURST_BYTES, mbitPerSecond * 1e6 / 8 * BURST_SECONDS);
      await run("tc", [
        ...["-n", this.namespace(host), "qdisc", "add", "dev", device, "root", "tbf"],
        ...["rate", `${mbitPerSecond}mbit`, "burst", String(Math.ceil(burstBytes))],
        ...["latency", `${QUEUE_MS}ms`],
      ]);
    }
  }

  /** Unplugs a cable. Connections over it stay open and hear nothing. */
  async unplug([host, peer]: readonly [string, string]): Promise<void> {
    await this.#ip(host, "link", "set", this.#plug(host, peer).device, "down");
  }

  async plugIn([host, peer]: readonly [string, string]): Promise<void> {
    await this.#ip(host, "link", "set", this.#plug(host, peer).device, "up");
  }

  /** Ends the programs on all hosts and removes hosts and cables. */
  async [Symbol.asyncDispose](): Promise<void> {
    const left = await namespaces();
    const own = [...this.#hosts].map((host) => this.namespace(host));
    await removeNamespaces(own.filter((name) => left.includes(name)));
  }

  async #lay({ between, mbitPerSecond }: CablePlan, index: number): Promise<void> {
    const [a, b] = between;
    // The devices are born inside the namespaces: this machine's own network never sees them.
    await run("ip", [
      ...["link", "add", `cable${index}`, "netns", this.namespace(a), "type", "veth"],
      ...["peer", "name", `cable${index}`, "netns", this.namespace(b)],
    ]);
    for (const [end, [host, peer]] of [[a, b], [b, a]].entries()) {
      const plug = { device: `cable${index}`, address: `10.86.${index}.${end + 1}` };
      this.#plugs.set(`${host} ${peer}`, plug);
      await this.#ip(host!, "addr", "add", `${plug.address}/24`, "dev", plug.device);
      await this.#ip(host!, "link", "set", plug.device, "up");
    }
    if (mbitPerSecond !== undefined) await this.setRate(between, mbitPerSecond);
  }

  #plug(host: string, peer: string): Plug {
    const plug = this.#plugs.get(`${host} ${peer}`);
    if (plug) return plug;
    throw new TuttiError("NOT_FOUND", `The network has no cable from "${host}" to "${peer}"`);
  }

  #ip(host: string, ...args: readonly string[]): Promise<string> {
    return run("ip", ["-n", this.namespace(host), ...args]);
  }
}

/** Names of the namespaces of this machine that are ours, of whichever run. */
async function namespaces(): Promise<string[]> {
  const lines = (await run("ip", ["netns", "list"])).split("\n");
  return lines.map((line) => line.split(" ")[0]!).filter((name) => name.startsWith(`${PREFIX}-`));
}

/** Those of runs that are over: whoever was killed could not dispose. */
async function removeLeftNamespaces(): Promise<void> {
  const running = new Set(await readdir("/proc"));
  const isLeft = (name: string) => !running.has(name.split("-")[1] ?? "");
  // Another process may be at it as well; what stays has a name of its own and does no harm.
  await removeNamespaces((await namespaces()).filter(isLeft)).catch(() => {});
}

async function removeNamespaces(names: readonly string[]): Promise<void> {
  const failures: unknown[] = [];
  for (const name of names) {
    try {
      // A namespace lives as long as a process in it, whether or not it has a name.
      await endProcesses(name);
      await run("ip", ["netns", "del", name]);
    } catch (error) {
      failures.push(error); // The others shall not stay because of this one.
    }
  }
  if (failures.length > 0) throw failures[0];
}

async function endProcesses(namespace: string): Promise<void> {
  const end = performance.now() + END_TIMEOUT_MS;
  for (;;) {
    const pids = (await run("ip", ["netns", "pids", namespace])).split("\n").filter(Boolean);
    if (pids.length === 0) return;
    if (performance.now() > end) {
      throw new TuttiError("INTERNAL", `Processes ${pids} in namespace ${namespace} do not end`);
    }
    // One that ended by itself meanwhile cannot be killed, and need not be.
    await tryRun("kill", ["-KILL", ...pids]);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Whether networks can be made here, and if not, why. */
export type Availability =
  | { readonly isAvailable: true }
  | { readonly isAvailable: false; readonly reason: string };

/** Makes a network of two hosts and a cable with a rate, and removes it: nothing less proves that it works. */
export async function isAvailable(): Promise<Availability> {
  const no = (reason: string) => ({ isAvailable: false, reason }) as const;
  if (Deno.build.os !== "linux") return no("network namespaces are for Linux");
  if (Deno.uid() !== 0) return no("network namespaces need root");
  for (const [program, what] of [["ip", "iproute2"], ["tc", "iproute2"]] as const) {
    if (!await tryRun(program, ["-V"])) return no(`there is no program "${program}" (${what})`);
  }
  try {
    const cables = [{ between: ["a", "b"], mbitPerSecond: 1000 }] as const;
    await using network = await TestNetwork.create({ hosts: ["a", "b"], cables });
    await network.run("a", "true");
    return { isAvailable: true };
  } catch (error) {
    return no(`network namespaces cannot be made: ${(error as Error).message}`);
  }
}

/** Whether this kernel can delay packets by itself; many that run virtual machines and containers cannot. */
export async function hasNetem(): Promise<boolean> {
  const cables = [{ between: ["a", "b"] }] as const;
  await using network = await TestNetwork.create({ hosts: ["a", "b"], cables });
  const device = network.device("a", "b");
  const netem = ["qdisc", "add", "dev", device, "root", "netem", "delay", "1ms"];
  return await tryRun("tc", ["-n", network.namespace("a"), ...netem]);
}
