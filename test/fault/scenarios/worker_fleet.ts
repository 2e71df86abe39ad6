/**
 * Worker processes of the bundled experts, several of each, that can be killed, frozen, asked to stop and started again where
 * they were. Clients reach each through a proxy of its own if links are to fail.
 *
 * @module
 */

import { NatsServer } from "../../support/nats_server.ts";
import type { TuttiHome, TuttiProcess } from "../../support/run_tutti.ts";
import { LinkProxy, type LinkProxyOptions } from "../../support/link_proxy.ts";
import { ZOO_EXPERTS, zooPath } from "../../support/zoo.ts";

export interface FleetPlan {
  /** Workers of each expert. */
  readonly replicas: number;
  /** Of `tutti worker`, for all. */
  readonly flags?: readonly string[];
  /** Further ones for the first replica of each expert, the second, and so on. */
  readonly replicaFlags?: readonly (readonly string[])[];
  /** What clients must show. @default none: whoever connects is let in */
  readonly token?: string;
  /** Whether workers announce themselves at a NATS server, by which they are found. @default false */
  readonly nats?: boolean;
  /** Links between coordinator and workers that can fail. @default none, clients connect to workers */
  readonly link?: Omit<LinkProxyOptions, "server" | "listen">;
}

/** Long enough for a whole scenario; its own end ends its workers. */
const PROCESS_TIMEOUT_MS = 3_600_000;

interface Addresses {
  readonly address: string;
  readonly httpAddress: string | undefined;
}

export class FleetWorker {
  readonly expert: string;
  /** HOST:PORT where clients find it: its own, or the proxy's. */
  readonly address: string;
  readonly proxy: LinkProxy | undefined;
  readonly #home: TuttiHome;
  readonly #args: readonly string[];
  /** Of its pages, where it has them. */
  readonly httpAddress: string | undefined;
  readonly #ownAddress: string;
  #process: TuttiProcess;

  private constructor(
    start: { home: TuttiHome; expert: string; args: readonly string[]; process: TuttiProcess },
    { address: ownAddress, httpAddress }: Addresses,
    proxy: LinkProxy | undefined,
  ) {
    this.expert = start.expert;
    this.address = proxy?.address ?? ownAddress;
    this.proxy = proxy;
    this.httpAddress = httpAddress;
    this.#home = start.home;
    this.#args = start.args;
    this.#process = start.process;
    this.#ownAddress = ownAddress;
  }

  static async start(
    home: TuttiHome,
    { expert, flags, link }: {
      readonly expert: string;
      readonly flags: readonly string[];
      readonly link?: FleetPlan["link"];
    },
  ): Promise<FleetWorker> {
    // Bits depend on the number of threads.
    const args = ["worker", "--model", zooPath(expert), "--threads", "1", ...flags];
    const { process, ...addresses } = await startProcess(home, args, "127.0.0.1:0");
    const [hostname, port] = addresses.address.split(":") as [string, string];
    const proxy = link &&
      new LinkProxy({ ...link, server: { hostname, port: Number(port) } });
    return new FleetWorker({ home, expert, args, process }, addresses, proxy);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Its exit code and what it printed, once it has ended. */
  get result(): TuttiProcess["result"] {
    return this.#process.result;
  }

  /** @returns whether there was a process to hear it */
  signal(signal: Deno.Signal): boolean {
    try {
      this.#process.kill(signal);
      return true;
    } catch {
      return false;
    }
  }

  /** After it has ended: another process at the same address. */
  async restart(): Promise<void> {
    await this.#process.result;
    const { process } = await startProcess(this.#home, this.#args, this.#ownAddress);
    this.#process = process;
  }

  /** Kills it, whatever state it is in. */
  async end(): Promise<void> {
    this.signal("SIGKILL");
    await this.#process.result.catch(() => {});
    await this.proxy?.[Symbol.asyncDispose]();
  }
}

export class WorkerFleet implements AsyncDisposable {
  readonly workers: readonly FleetWorker[];
  readonly nats: NatsServer | undefined;
  readonly #home: TuttiHome;

  private constructor(
    home: TuttiHome,
    workers: readonly FleetWorker[],
    nats: NatsServer | undefined,
  ) {
    this.#home = home;
    this.workers = workers;
    this.nats = nats;
  }

  static async start(home: TuttiHome, plan: FleetPlan): Promise<WorkerFleet> {
    const { replicas, flags = [], replicaFlags = [], link, token } = plan;
    const nats = plan.nats ? await NatsServer.start() : undefined;
    const natsFlags = nats ? ["--nats", nats.url] : [];
    const tokenFlags = token === undefined ? [] : ["--token-file", await tokenFile(home, token)];
    const starting = ZOO_EXPERTS.flatMap((expert) =>
      Array.from({ length: replicas }, (_, i) =>
        FleetWorker.start(home, {
          ...{ expert, link },
          flags: [...flags, ...replicaFlags[i] ?? [], ...natsFlags, ...tokenFlags],
        }))
    );
    return new WorkerFleet(home, await Promise.all(starting), nats);
  }

  /** Of the workers' processes. */
  get pids(): number[] {
    return this.workers.map(({ pid }) => pid);
  }

  /** Kills the NATS server. @returns when it is there again, with what it had stored */
  async sendNatsAway(seconds: number): Promise<void> {
    await this.nats!.kill();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    await this.nats!.restart();
  }

  /** What `tutti ps` finds by the NATS server. */
  async announced(): Promise<Record<string, unknown>[]> {
    return await this.#home.json(["ps"], { env: { TUTTI_NATS: this.nats!.url } });
  }

  /** The replicas of an expert. */
  of(expert: string): FleetWorker[] {
    return this.workers.filter((worker) => worker.expert === expert);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.end()));
    await this.nats?.[Symbol.asyncDispose]();
  }
}

async function startProcess(
  home: TuttiHome,
  args: readonly string[],
  listen: string,
): Promise<{ process: TuttiProcess } & Addresses> {
  const process = home.start([...args, "--listen", listen], { timeoutMs: PROCESS_TIMEOUT_MS });
  // How it ends is asked for where it matters.
  process.result.catch(() => {});
  const [, address, httpAddress] = await process.says(
    /^Worker ready at ([\d.]+:\d+): serving(?:.* at http:\/\/([\d.]+:\d+))?/m,
  );
  return { process, address: address!, httpAddress };
}

async function tokenFile(home: TuttiHome, token: string): Promise<string> {
  const path = home.file("tokens");
  await Deno.writeTextFile(path, `admin:${token}\n`, { mode: 0o600 });
  return path;
}
