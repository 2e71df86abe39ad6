/**
 * `deno task bench:network`: what an ensemble step takes when two workers are on hosts of their own, over three links, for
 * each way in which tensors can travel, beside what it should take.
 *
 * Options: `--model half|zoo`, `--size PIXELS`, `--steps N`, `--links 10gbe,1gbe,wan`, `--json`.
 *
 * The hosts are network namespaces of this machine (`test/support/net_namespace.ts`), so root is needed, and all compute
 * and all networking share its cores: where the machine moves fewer bytes than a link is named for, the row's model has
 * the measured rate.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { join } from "node:path";
import { onInterrupt } from "../../coordinator/cli/interrupt.ts";
import { modelConfigs } from "../../coordinator/zoo/model_configs.ts";
import { modelParts } from "../../coordinator/zoo/model_parts.ts";
import { writeRandomCheckpoint } from "../../coordinator/zoo/random_checkpoint.ts";
import { exitCode, TuttiError, UsageError } from "../../shared/errors.ts";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";
import { wholeNumber } from "../../shared/terminal/whole_number.ts";
import { isAvailable, TestNetwork } from "../support/net_namespace.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { zooPath } from "../support/zoo.ts";
import { type EmulatedLink, LINKS } from "./emulated_links.ts";
import { HostProgram } from "./host_program.ts";
import type { CoordinatorOptions, CoordinatorReport, LinkJob } from "./network_coordinator.ts";
import type { NetworkHostOptions, NetworkHostReady } from "./network_host.ts";
import { NetworkReport } from "./network_report.ts";
import { tcpSockets } from "./socket_table.ts";
import type { MeasuredLink } from "./step_model.ts";
import { choiceName, CHOICES } from "./transport_choice.ts";

/**
 * What the workers serve: `half` has half the channels of SD1.5, large enough for real bytes and small enough for
 * minutes; `zoo` are two bundled experts, to try the benchmark itself.
 */
interface BenchModel {
  /** Model and size. */
  readonly name: string;
  /** One for each of two experts. */
  readonly models: readonly string[];
  readonly latentSize: number;
}

interface Flags {
  readonly model: string;
  readonly links: string;
  readonly size: string;
  readonly steps: string;
  readonly json: boolean;
}

const COORDINATOR = "coordinator";
const WORKERS = ["left", "right"] as const;
const program = (name: string) => join(import.meta.dirname!, name);
/** Of SD1.5's VAE. */
const VAE_FACTOR = 8;

async function main(flags: Flags): Promise<void> {
  const availability = await isAvailable();
  if (!availability.isAvailable) {
    throw new TuttiError("FAILED_PRECONDITION", `No network here: ${availability.reason}`);
  }
  const [steps, size] = [wholeNumber("--steps")(flags.steps), wholeNumber("--size")(flags.size)];
  const links = chooseLinks(flags.links);
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  await using folder = await tempFolder();
  const model = await chooseModel(flags.model, size, folder.path, signal);
  await using network = await TestNetwork.create({
    hosts: [COORDINATOR, ...WORKERS],
    cables: WORKERS.map((host) => ({ between: [COORDINATOR, host] as const })),
  });
  const report = await NetworkReport.create({ model: model.name, isJson: flags.json });
  const options: CoordinatorOptions = { ...model, steps };
  await using coordinator = new HostProgram(
    network,
    COORDINATOR,
    [program("network_coordinator.ts"), JSON.stringify(options)],
    signal,
  );
  /** Choice -> why this build does not have it: asked once, on the first link. */
  const absent = new Map<string, string>();
  for (const link of links) {
    for (const host of WORKERS) await network.setRate([COORDINATOR, host], link.mbitPerSecond);
    await benchLink(network, coordinator, { link, model, report, absent, signal });
  }
}

interface LinkBench {
  readonly link: EmulatedLink;
  readonly model: BenchModel;
  readonly report: NetworkReport;
  readonly absent: Map<string, string>;
  readonly signal: AbortSignal;
}

/** On every host: each has its own. */
const PLANE_PORT = "7071";

async function benchLink(
  network: TestNetwork,
  coordinator: HostProgram,
  { link, model, report, absent, signal }: LinkBench,
): Promise<void> {
  await using resources = new AsyncDisposableStack();
  const hosts: LinkJob["hosts"][number][] = [];
  const meters: LinkJob["meters"][number][] = [];
  for (const [index, host] of WORKERS.entries()) {
    const address = network.address(host, COORDINATOR);
    const isDelayed = link.roundTripMs > 0;
    const worker = resources.use(
      new HostProgram(network, host, [
        ...[MAIN_PROGRAM, "worker", "--json", "--stop-with-stdin", "--threads", "1"],
        ...["--device", "cpu", "--model", model.models[index]!, "--name", host],
        // On a link with a delay the proxies alone can be reached from outside.
        ...["--listen", isDelayed ? "127.0.0.1:0" : `${address}:0`, "--insecure"],
        // Known before the first session, so that a proxy can stand before it.
        ...["--plane-port", PLANE_PORT],
      ], signal),
    );
    const { address: listening } = await worker.next<{ readonly address: string }>();
    hosts.push({ address, port: Number(listening.split(":").at(-1)) });
    const options: NetworkHostOptions = {
      address,
      delayMs: link.roundTripMs / 2,
      ports: (await tcpSockets(worker.pid)).filter(({ state }) => state === "listen")
        .map(({ local }) => local.port),
    };
    const args = [program("network_host.ts"), JSON.stringify(options)];
    const beside = resources.use(new HostProgram(network, host, args, signal));
    const { meterPort } = await beside.next<NetworkHostReady>();
    meters.push({ hostname: address, port: meterPort });
  }
  const job: LinkJob = {
    hosts,
    meters,
    meterBytes: link.meterBytes,
    choices: CHOICES.filter((choice) => !absent.has(choiceName(choice))),
  };
  await coordinator.tell(job);
  let measured: MeasuredLink | undefined;
  for (const choice of [undefined, ...CHOICES]) {
    const known = choice && absent.get(choiceName(choice));
    if (choice && known !== undefined) {
      report.missing(link, choice, known);
      continue;
    }
    const told = await coordinator.next<CoordinatorReport>();
    if (told.kind === "link") {
      measured = told.link;
      report.link(link, measured);
    } else if (told.kind === "step") {
      report.step({ link, measured: measured!, ...told });
    } else {
      absent.set(choiceName(told.choice), told.reason);
      report.missing(link, told.choice, told.reason);
    }
  }
}

function chooseLinks(names: string): readonly EmulatedLink[] {
  return names.split(",").map((name) => {
    const link = LINKS.find((each) => each.name === name);
    if (link) return link;
    const known = LINKS.map((each) => each.name).join(", ");
    throw new UsageError(`--links must be among ${known}: current value is "${name}"`);
  });
}

async function chooseModel(
  name: string,
  size: number,
  folder: string,
  signal: AbortSignal,
): Promise<BenchModel> {
  const setting = { name: `${name}-${size}`, latentSize: Math.ceil(size / VAE_FACTOR) };
  if (name === "zoo") return { ...setting, models: [zooPath("round"), zooPath("square")] };
  if (name !== "half") {
    throw new UsageError(`--model must be half or zoo: current value is "${name}"`);
  }
  const parts = modelParts(modelConfigs("sd15", { scale: 0.5, depth: 2 }))
    .filter((part) => part.folder !== "vae");
  const path = join(folder, "half");
  await writeRandomCheckpoint({
    path,
    layout: "diffusers",
    family: "sd15",
    parts,
    dtype: "float16",
    seed: 0n,
    signal,
  });
  return { ...setting, models: [path, path] };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      model: { type: "string", default: "half" },
      links: { type: "string", default: LINKS.map(({ name }) => name).join() },
      size: { type: "string", default: "128" },
      steps: { type: "string", default: "3" },
      json: { type: "boolean", default: false },
    },
  });
  try {
    await main(values as Flags);
  } catch (error) {
    const failure = TuttiError.from(error);
    await Deno.stderr.write(new TextEncoder().encode(`error: ${failure.message}\n`));
    Deno.exitCode = exitCode(failure);
  }
}
