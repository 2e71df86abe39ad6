/** `tutti serve`: ensembles behind an HTTP API that other tools know. @module */

import { join } from "node:path";
import { Command, Option } from "commander";
import { throwIfAborted, TuttiError, UsageError } from "../../shared/errors.ts";
import type { SecurityFlags } from "../../shared/security/security_flags.ts";
import { readTlsFiles } from "../../shared/security/tls_files.ts";
import { readTokens } from "../../shared/security/token_file.ts";
import { TokenGuard } from "../../shared/security/token_guard.ts";
import { watchSecrets } from "../../shared/security/watch_secrets.ts";
import { type NatsOptions, natsOptions } from "../../shared/nats/nats_options.ts";
import { stateFolder } from "../../shared/state_folder.ts";
import { type LogFlags, logOptions } from "../../shared/telemetry/log_flags.ts";
import { type Notes, startLogging } from "../../shared/telemetry/logging.ts";
import { oneLine } from "../../shared/terminal/display_width.ts";
import { shortenHelp } from "../../shared/terminal/grouped_help.ts";
import { headingOf } from "../../shared/terminal/help_groups.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { ensemblePlan } from "../ensemble/ensemble_plan.ts";
import { JobRuntime } from "../http/runtime/job_runtime.ts";
import { DEFAULT_QUEUE_LIMIT } from "../http/runtime/queue_limit.ts";
import {
  refuseTwins,
  type ServedEnsemble,
  ServedEnsembles,
} from "../http/runtime/served_ensembles.ts";
import { DEFAULT_LISTEN, parseListenAddress, startApiServer } from "../http/server/api_server.ts";
import type { JobStore } from "../http/store/job_store.ts";
import { PictureFolder } from "../http/store/picture_folder.ts";
import { SqliteStore } from "../http/store/sqlite_store.ts";
import { pictureSettings } from "../settings/picture_settings.ts";
import {
  addExpertOptions,
  addReachOptions,
  type DrawingFlags,
  openToDraw,
} from "./drawing_ensemble.ts";
import { wholeNumber } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";
import { patienceOf } from "./wait_option.ts";

interface ServeFlags extends Omit<DrawingFlags, "ensemble">, LogFlags, SecurityFlags {
  readonly ensemble?: readonly string[];
  readonly listen: string;
  readonly state?: string;
  readonly store: "sqlite" | "nats";
  readonly jobs: number;
  readonly queueLimit: number;
  readonly json: boolean;
}

/** Those of the short help. */
const COMMON_FLAGS = ["--listen", "--ensemble", "--workers", "--jobs", "--state", "--token-file"];

const EXAMPLES = `
A page for people, at /, and these APIs on one port: Tutti's own under /api/v1 (described by /api/v1/openapi.json), stable-diffusion-webui's under
/sdapi/v1, OpenAI's images under /v1, ComfyUI's (its default graph of text to picture) at / and /api.
Jobs that were accepted survive the end of the server: started again, it goes on at the step that it was at.

Examples:
  tutti serve
  tutti serve --ensemble castles.toml --ensemble portraits.toml
  tutti serve --workers gpu-1:7070,gpu-2:7070 --vae models/vae
  tutti serve --ensemble castles.toml --listen 0.0.0.0:7860 --tls-cert server.pem --tls-key server.key --token-file tokens

  curl -s 127.0.0.1:7860/api/v1/jobs --json '{"prompt": "a castle at dawn", "seed": 7}'
  curl -N 127.0.0.1:7860/api/v1/jobs/ID/events
  curl -s 127.0.0.1:7860/sdapi/v1/txt2img --json '{"prompt": "a castle at dawn", "steps": 25}' | jq -r .images[0] | base64 -d > castle.png`;

export function serveCommand(): Command {
  const command = addExpertOptions(
    new Command("serve")
      .summary("serve ensembles over HTTP, to the tools that people have")
      .description(
        "Draws what clients ask for over HTTP. Without --ensemble, --workers and --experts it starts workers on this machine for the experts that come with Tutti.",
      )
      .option("--listen <host:port>", "where to listen; port 0 takes a free one", DEFAULT_LISTEN),
  );
  const ensemble = command.options.find(({ long }) => long === "--ensemble")!;
  ensemble.description += "; given several times, clients choose among them";
  ensemble.argParser((text: string, others: readonly string[] = []) => [...others, text]);
  addReachOptions(command)
    .optionsGroup(headingOf("Options"))
    .option("--jobs <n>", "jobs that are drawn at a time", wholeNumber("--jobs"), 1)
    .option(
      "--queue-limit <n>",
      "jobs that may wait, half of them of one client",
      wholeNumber("--queue-limit"),
      DEFAULT_QUEUE_LIMIT,
    )
    .option(
      "--state <folder>",
      "where jobs and pictures are kept (default: serve in the state folder, ~/.local/state/tutti)",
    )
    .addOption(
      new Option("--store <kind>", "what keeps jobs: sqlite in --state, or nats at --nats")
        .choices(["sqlite", "nats"]).default("sqlite"),
    )
    .option("--json", "print a line of JSON when it is ready", false)
    .addHelpText("after", EXAMPLES)
    .action((flags: ServeFlags) => runServe(flags));
  logOptions().forEach((option) => command.addOption(option));
  return shortenHelp(command, COMMON_FLAGS);
}

async function runServe(flags: ServeFlags): Promise<void> {
  const notes = startLogging("serve", flags, { hasNotes: !flags.json });
  const warn = (text: string) => notes.warn(oneLine(text));
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  const access = await readAccess(flags);
  const folder = flags.state ?? join(stateFolder(), "serve");
  await using resources = new AsyncDisposableStack();
  // What is wrong with it should not wait for models to load.
  const nats = await natsOptions(flags, "tutti serve");
  const { store, lost } = await openStore(flags, { folder, nats, signal }, resources);
  const pictures = await PictureFolder.open(join(folder, "pictures"));
  const served = await openAll(flags, resources, { ...notes, warn, signal, nats });
  throwIfAborted(signal);
  const runtime = resources.use(
    await JobRuntime.open({
      ...{ ensembles: new ServedEnsembles(served), store, pictures, warn },
      ...{ jobs: flags.jobs, queueLimit: flags.queueLimit },
      patience: (ends) => patienceOf(flags, notes.note, ends),
    }),
  );
  const server = resources.use(await startApiServer(access.address, runtime, access.protection));
  using _ = watchSecrets(flags, access.tls, {
    renewTls: ({ pair }) => pair && server.renewTls(pair),
    renewTokens: (tokens) => access.protection.guard.renew(tokens),
    // They are the credentials for workers, too: of files that cannot be used is told there.
    warn: () => {},
    note: () => {},
  });
  const ensembles = served.map(({ ensemble }) => ensemble.name);
  if (flags.json) printJson({ event: "ready", url: server.url, ensembles });
  else printLine(`Serving ${ensembles.join(", ")} at ${server.url}. Ctrl-C stops after the step`);
  const ends = AbortSignal.any([signal, lost]);
  if (!ends.aborted) await new Promise((resolve) => ends.addEventListener("abort", resolve));
  // Before the server goes: whoever waits for a picture hears why it does not come.
  await runtime.drain();
  if (!lost.aborted) return;
  throw new TuttiError("ABORTED", "Another server has taken over the jobs that NATS keeps");
}

interface StorePlace {
  readonly folder: string;
  readonly nats: NatsOptions | undefined;
  readonly signal: AbortSignal;
}

/** @returns `lost` fires when another server has the jobs */
async function openStore(
  flags: ServeFlags,
  { folder, nats: options, signal }: StorePlace,
  resources: AsyncDisposableStack,
): Promise<{ readonly store: JobStore; readonly lost: AbortSignal }> {
  if (flags.store === "sqlite") {
    const store = resources.use(await SqliteStore.open(folder));
    return { store, lost: new AbortController().signal };
  }
  if (!options) throw new UsageError("--store nats needs --nats, the server that keeps the jobs");
  // Few servers need it, and it loads a client.
  const { Nats } = await import("../../shared/nats/connect.ts");
  const { NatsStore } = await import("../http/store/nats_store.ts");
  const nats = resources.use(await Nats.connect({ ...options, signal }));
  const store = resources.use(await NatsStore.open(nats));
  return { store, lost: store.lost };
}

async function readAccess(flags: ServeFlags) {
  // What others may read of these files has been told.
  const ignore = () => {};
  const [tls, tokens] = [await readTlsFiles(flags, ignore), await readTokens(flags, ignore)];
  const protection = { guard: new TokenGuard(tokens), ...(tls?.pair && { tls: tls.pair }) };
  const address = parseListenAddress(flags.listen, flags.insecure === true, protection);
  return { address, protection, tls };
}

interface Opening extends Notes {
  readonly nats: NatsOptions | undefined;
  readonly signal: AbortSignal;
}

/** Every ensemble, each with its workers, before the first client is let in. */
async function openAll(
  { ensemble: files, ...flags }: ServeFlags,
  resources: AsyncDisposableStack,
  { note, warn, nats, signal }: Opening,
): Promise<ServedEnsemble[]> {
  const own = (["sabw", "vae", "tokenizer", "lora"] as const).find((name) => flags[name]);
  if (files && files.length > 1 && own !== undefined) {
    throw new UsageError(`--${own} is for one --ensemble: say it in the files instead`);
  }
  const choices = files?.map((ensemble) => ({ ...flags, ensemble })) ?? [flags];
  const plans = await Promise.all(choices.map((choice) => ensemblePlan(choice)));
  refuseTwins(plans.map(({ name }) => name));
  const served: ServedEnsemble[] = [];
  for (const plan of plans) {
    const chosen = pictureSettings({}, plan);
    const { ensemble } = await openToDraw({ plan, flags, chosen, nats, note, warn, signal });
    resources.use(ensemble);
    served.push({ ensemble, ...(plan.defaults && { defaults: plan.defaults }) });
  }
  return served;
}
