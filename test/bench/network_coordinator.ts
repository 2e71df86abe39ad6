/**
 * The coordinator of `network_bench.ts`, a process on the coordinator's host. For each choice it samples with two
 * ensembles in turns, step by step: one over the network, and one whose experts are in this process. So whatever else the
 * machine does slows both.
 *
 * @module
 */

import { readLines } from "../../coordinator/cluster/process_output.ts";
import { connectExpert } from "../../coordinator/cluster/remote_expert.ts";
import { createMethod } from "../../coordinator/sampling/methods/methods.ts";
import { sample, type SampleRequest } from "../../coordinator/sampling/sample.ts";
import { createSampler } from "../../coordinator/sampling/samplers/samplers.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../coordinator/sampling/samplers/scheduler_config.ts";
import { firstText } from "../../shared/engine/choose_text.ts";
import type { Expert, ExpertDescription } from "../../shared/engine/expert.ts";
import { TuttiError } from "../../shared/errors.ts";
import { openLocalExpert } from "../../shared/engine/local_expert.ts";
import { TorchCpuGenerator } from "../../shared/tensor/torch_randn.ts";
import { printJson } from "../../shared/terminal/stdout.ts";
import { measureLinks } from "./link_meter.ts";
import { type CallCount, observedExpert } from "./observed_expert.ts";
import { tcpSockets } from "./socket_table.ts";
import { type MeasuredLink, median, type StepTraffic } from "./step_model.ts";
import {
  BASIC,
  choiceName,
  connectOptions,
  missing,
  partsOf,
  sampleOptions,
  type TransportChoice,
  type TransportEvidence,
} from "./transport_choice.ts";

export interface CoordinatorOptions {
  /** Of each expert, for those in this process. */
  readonly models: readonly string[];
  /** Latent pixels. */
  readonly latentSize: number;
  /** Steps to time, after a first one that loads the weights. */
  readonly steps: number;
}

/** What to measure over one link. */
export interface LinkJob {
  /** Of each worker. */
  readonly hosts: readonly { readonly address: string; readonly port: number }[];
  readonly meters: readonly { readonly hostname: string; readonly port: number }[];
  readonly meterBytes: number;
  readonly choices: readonly TransportChoice[];
}

/** The first is the link's, then comes one for each choice. */
export type CoordinatorReport =
  | { readonly kind: "link"; readonly link: MeasuredLink }
  | { readonly kind: "step"; readonly choice: TransportChoice; readonly step: MeasuredStep }
  | { readonly kind: "missing"; readonly choice: TransportChoice; readonly reason: string };

export interface MeasuredStep {
  /** Over the network, median. */
  readonly stepMs: number;
  /** In one process, median. */
  readonly computeMs: number;
  /** Of one worker, in f32. */
  readonly traffic: StepTraffic;
  readonly evidence: TransportEvidence;
}

const CONNECT_TIMEOUT_MS = 60_000;
const GUIDANCE_SCALE = 7.5;

/** Two ensembles of the same experts, one of them in this process. */
class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #local: readonly Expert[];

  constructor(options: CoordinatorOptions, local: readonly Expert[]) {
    this.#options = options;
    this.#local = local;
  }

  async run({ hosts, meters, meterBytes, choices }: LinkJob): Promise<void> {
    report({ kind: "link", link: await measureLinks(meters, meterBytes) });
    const absent = new Map<string, string>();
    for (const choice of choices) {
      const result = await this.#tryMeasure(choice, hosts, absent);
      if (result.kind === "missing") absent.set(choiceName(choice), result.reason);
      report(result);
    }
  }

  /** @param absent choices that were missing, and why: what is made of them need not be tried */
  async #tryMeasure(
    choice: TransportChoice,
    hosts: LinkJob["hosts"],
    absent: ReadonlyMap<string, string>,
  ): Promise<CoordinatorReport> {
    for (const part of partsOf(choice)) {
      const reason = absent.get(choiceName(part));
      if (reason !== undefined) return { kind: "missing", choice, reason };
    }
    try {
      return await this.#measure(choice, hosts);
    } catch (error) {
      // What a build refuses it does not have; but the basic choice must work.
      if (choiceName(choice) === choiceName(BASIC)) throw error;
      return { kind: "missing", choice, reason: TuttiError.from(error).message };
    }
  }

  async #measure(choice: TransportChoice, hosts: LinkJob["hosts"]): Promise<CoordinatorReport> {
    const calls: CallCount[] = [];
    const options = { connectTimeoutMs: CONNECT_TIMEOUT_MS, ...connectOptions(choice) };
    await using resources = new AsyncDisposableStack();
    const experts: Expert[] = [];
    for (const { address, port } of hosts) {
      const expert = await connectExpert(`${address}:${port}`, options);
      resources.defer(() => expert.close());
      const count: CallCount = { now: 0, most: 0 };
      calls.push(count);
      experts.push(observedExpert(expert, count));
    }
    const request = this.#request(experts);
    let f32Bytes = 0;
    const remote = sample({
      ...request,
      ...sampleOptions(choice),
      onSegment: ({ stepIndex, aggregatedFeatures }) => {
        if (stepIndex === 0) f32Bytes += aggregatedFeatures!.data.byteLength;
      },
    });
    resources.defer(async () => void await remote.return());
    const local = sample(this.#request(this.#local));
    resources.defer(async () => void await local.return());

    await remote.next();
    // Every output is the next call's input, and the last one has the size of the first call's input.
    const traffic = {
      sentBytes: f32Bytes,
      receivedBytes: f32Bytes,
      roundTrips: experts[0]!.description.blocks.length,
    };
    const [localMs, remoteMs]: [number[], number[]] = [[], []];
    let evidence: TransportEvidence | undefined;
    for (let step = 0; step < this.#options.steps; step++) {
      for (const count of calls) count.most = 0;
      const before = await cableBytes();
      remoteMs.push(await elapsedMs(() => remote.next()));
      const movedBytes = await cableBytes() - before;
      if (evidence === undefined) {
        evidence = {
          workers: hosts.length,
          connections: await connectionCount(hosts),
          bytesToF32: movedBytes / hosts.length / (2 * f32Bytes),
          callsInFlight: Math.min(...calls.map(({ most }) => most)),
        };
        const reason = missing(choice, evidence);
        if (reason !== undefined) return { kind: "missing", choice, reason };
        await local.next(); // Loads the weights.
      }
      localMs.push(await elapsedMs(() => local.next()));
    }
    const step = { stepMs: median(remoteMs), computeMs: median(localMs), traffic };
    return { kind: "step", choice, step: { ...step, evidence: evidence! } };
  }

  #request(experts: readonly Expert[]): SampleRequest {
    const { description } = experts[0]!;
    const { latentSize, steps } = this.#options;
    return {
      experts,
      method: createMethod("average", {
        experts: experts.map((_, i) => `expert-${i}`),
        blocks: description.blocks,
        guidanceScale: GUIDANCE_SCALE,
        sampler: { name: "ddim" },
        picture: {
          width: latentSize,
          height: latentSize,
          latentWidth: latentSize,
          latentHeight: latentSize,
        },
      }),
      sampler: createSampler("ddim", { steps: steps + 1, config: DEFAULT_SCHEDULER_CONFIG }),
      guidanceScale: GUIDANCE_SCALE,
      initialLatents: new TorchCpuGenerator(0)
        .randn([1, description.latentChannels, latentSize, latentSize]),
      promptIds: [promptIds(description, [5, 17, 3])],
      negativePromptIds: [promptIds(description, [])],
    };
  }
}

function promptIds(description: ExpertDescription, words: readonly number[]): number[] {
  const { bosTokenId, eosTokenId, padTokenId, maxLength } = firstText(description);
  const ids = [bosTokenId, ...words, eosTokenId];
  return [...ids, ...new Array<number>(maxLength - ids.length).fill(padTokenId)];
}

async function elapsedMs(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** What this host has sent and received over all its cables, headers included. */
async function cableBytes(): Promise<number> {
  let bytes = 0;
  for await (const { name } of Deno.readDir("/sys/class/net")) {
    if (name === "lo") continue;
    for (const counter of ["tx_bytes", "rx_bytes"]) {
      bytes += Number(await Deno.readTextFile(`/sys/class/net/${name}/statistics/${counter}`));
    }
  }
  return bytes;
}

async function connectionCount(hosts: LinkJob["hosts"]): Promise<number> {
  const addresses = hosts.map(({ address }) => address);
  const sockets = await tcpSockets(Deno.pid);
  return sockets.filter(({ state, remote }) =>
    state === "established" && addresses.includes(remote.address)
  ).length;
}

function report(value: CoordinatorReport): void {
  printJson(value);
}

if (import.meta.main) {
  const options = JSON.parse(Deno.args[0]!) as CoordinatorOptions;
  await using resources = new AsyncDisposableStack();
  const local: Expert[] = [];
  for (const model of options.models) {
    const expert = await openLocalExpert({ model, device: "cpu", lanes: 1, threads: 1 });
    resources.defer(() => expert.close());
    local.push(expert);
  }
  const coordinator = new Coordinator(options, local);
  for await (const line of readLines(Deno.stdin.readable)) {
    await coordinator.run(JSON.parse(line) as LinkJob);
  }
}
