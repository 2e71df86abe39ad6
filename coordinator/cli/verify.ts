/** `tutti verify`: can the numbers of this machine and build be trusted? @module */

import { Command, Option } from "commander";
import { openBackend, verifiedDevice } from "../../shared/device/backend.ts";
import { chooseDevice } from "../../shared/device/choose_device.ts";
import {
  type DeviceFlags,
  deviceOption,
  precisionOption,
} from "../../shared/device/device_flags.ts";
import { reportProvider } from "../../shared/device/provider_report.ts";
import { forgetVerified, rememberVerified } from "../../shared/device/verified_half.ts";
import type { Expert } from "../../shared/engine/expert.ts";
import type { Precision } from "../../shared/engine/lower_graph.ts";
import { FormatError, TuttiError, UsageError } from "../../shared/errors.ts";
import type { Device } from "../../shared/lane/protocol.ts";
import { BUNDLED_GOLDENS } from "../../shared/project_files.ts";
import { oneLine } from "../../shared/terminal/display_width.ts";
import { styles } from "../../shared/terminal/sgr.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import type { PlaneChoice } from "../../shared/wire/plane/plane_kind.ts";
import { connectExpert } from "../cluster/remote_expert.ts";
import { type SpawnedWorker, spawnWorker } from "../cluster/spawn_worker.ts";
import { type CheckResult, worst } from "../verify/check.ts";
import type { OpenExpert } from "../verify/context.ts";
import { matcher } from "../verify/name_pattern.ts";
import { verify } from "../verify/verify.ts";
import { onInterrupt } from "./interrupt.ts";
import { planeOption } from "./transport_flags.ts";

interface VerifyFlags extends DeviceFlags {
  readonly via: "local" | "cluster";
  readonly plane: PlaneChoice;
  /** Patterns of checks' names. */
  readonly only?: string;
  readonly json: boolean;
}

/** Relative L2 that a device other than the processor may be off in f32, and any device in f16. */
const DEVICE_TOLERANCE = { f32: 1e-3, f16: 1e-2 } as const;

const EXAMPLES = `
Each row is one check: the largest relative L2 error, the largest absolute difference, the tolerance and the
verdict. Exit code 1 if a check fails. The goldens were computed in double precision; what a GPU computes may be off by
${DEVICE_TOLERANCE.f32}, and what is computed in 16-bit floats by ${DEVICE_TOLERANCE.f16}.

Examples:
  tutti verify
  tutti verify path/to/goldens --via local
  tutti verify --plane tcp
  tutti verify --device webgpu --precision f16 --only 'sd15/*'
  tutti verify --json | jq 'select(.verdict == "failed")'`;

export function verifyCommand(): Command {
  return new Command("verify")
    .summary("compare this build and machine with reference numbers")
    .description("Computes what a folder of goldens holds, through real workers, and compares.")
    .argument("[folder]", "folder with a manifest.json (default: the goldens that come with Tutti)")
    .addOption(deviceOption("what computes"))
    .addOption(precisionOption("the experts compute"))
    .addOption(
      new Option("--via <way>", "experts in worker processes over gRPC, or in this process")
        .choices(["local", "cluster"]).default("cluster"),
    )
    .addOption(planeOption())
    .option("--only <patterns>", "checks to run, such as 'sd15/unet,sd15/vae' or 'sd15/*'")
    .option("--json", "print one JSON object per check, with every tensor", false)
    .addHelpText("after", EXAMPLES)
    .action((folder: string | undefined, flags: VerifyFlags) =>
      runVerify(folder ?? BUNDLED_GOLDENS, flags)
    );
}

async function runVerify(folder: string, flags: VerifyFlags): Promise<void> {
  const { via, plane, only, json } = flags;
  if (via === "local" && plane !== "auto") {
    throw new UsageError("--plane needs --via cluster: in one process nothing travels");
  }
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  const { device, explanation } = await chooseDevice(flags.device);
  if (!json && explanation !== undefined) printLine(explanation);
  const { adapter, lowering: { precision } } = await openBackend(device, flags.precision);
  const how = { device, precision };
  const options = {
    // The VAE and SABW compute in f32 in any case.
    lane: { ...await openBackend(device), threads: 1 },
    openExpert: via === "local" ? localExperts(how) : clusterExperts(how, plane, signal),
    leastTolerance: device === "cpu" ? 0 : DEVICE_TOLERANCE[precision],
    isWanted: matcher((only ?? "*").split(",")),
  };
  if (!json && options.leastTolerance > 0) {
    const where = [device, adapter && `(${adapter})`, "in", precision].filter(Boolean).join(" ");
    printLine(`What ${where} computes has a tolerance of at least ${options.leastTolerance}`);
  }
  const counts = { ok: 0, failed: 0, skipped: 0 };
  if (!json) printLine(formatRow(["check", "relative L2", "largest diff", "tolerance", "verdict"]));
  for await (const result of verify(folder, options)) {
    if (signal.aborted) throw new TuttiError("CANCELLED", "The operation was cancelled");
    counts[result.verdict]++;
    if (json) printJson(result);
    else printLine(formatResult(result));
  }
  if (!json) {
    printLine(
      `${counts.ok} ok, ${counts.failed} failed, ${counts.skipped} skipped (${device}, ${precision}, ${via})`,
    );
  }
  if (precision === "f16" && only === undefined && folder === BUNDLED_GOLDENS) {
    const verified = verifiedDevice(device, await reportProvider(device));
    if (counts.failed === 0) await rememberVerified(verified);
    else await forgetVerified(verified);
  }
  if (only !== undefined && counts.ok + counts.failed + counts.skipped === 0) {
    throw new UsageError(`--only must fit the name of a check: current value is "${only}"`);
  }
  if (counts.ok + counts.failed === 0) {
    throw new FormatError(`Goldens "${folder}" must have a check that this version can run`);
  }
  if (counts.failed > 0) {
    throw new TuttiError(
      "DATA_LOSS",
      `${counts.failed} checks failed: do not trust the images of this machine and device`,
    );
  }
}

/** Rows are printed as their checks end, so the widths are fixed. */
const WIDTHS = [38, 12, 13, 10, 8];

function formatRow(cells: readonly string[]): string {
  return cells.map((cell, i) =>
    i === 0 || i === 4 ? cell.padEnd(WIDTHS[i]!) : cell.padStart(WIDTHS[i]!)
  ).join(" ").trimEnd();
}

function formatResult({ name, verdict, reason, tolerance, comparisons }: CheckResult): string {
  const { red, green, yellow } = styles(Deno.stdout.isTerminal() && !Deno.noColor);
  const paint = { ok: green, failed: red, skipped: yellow }[verdict];
  const furthest = worst(comparisons);
  const numbers = furthest
    ? [furthest.relativeL2, furthest.maxAbs].map((n) => n.toExponential(1))
    : ["", ""];
  const where = verdict === "failed" && furthest ? ` at ${furthest.tensor}` : "";
  const row = formatRow([
    name,
    ...numbers,
    tolerance === undefined ? "" : String(tolerance),
    paint(verdict),
  ]);
  return `${row}${where}${reason ? ` (${oneLine(reason).trim()})` : ""}`;
}

interface HowToCompute {
  readonly device: Device;
  readonly precision: Precision;
}

function localExperts(how: HowToCompute): OpenExpert {
  return async (model, configFrom) => {
    const { openLocalExpert } = await import("../../shared/engine/local_expert.ts");
    return await openLocalExpert({
      model,
      ...how,
      lanes: 1,
      threads: 1,
      ...(configFrom && { configFrom }),
    });
  };
}

/** A worker process per expert; it stops when the expert is closed. */
function clusterExperts(
  how: HowToCompute,
  plane: PlaneChoice,
  signal: AbortSignal,
): OpenExpert {
  return async (model, configFrom) => {
    const worker = await spawnWorker({
      model,
      name: typeof model === "string" ? model : model.name,
      threads: 1,
      ...how,
      signal,
      ...(configFrom && { configFrom }),
    });
    try {
      const transport = { plane };
      return withWorker(await connectExpert(worker.address, { signal, transport }), worker);
    } catch (error) {
      await worker[Symbol.asyncDispose]();
      throw error;
    }
  };
}

function withWorker(expert: Expert, worker: SpawnedWorker): Expert {
  return {
    description: expert.description,
    encodeText: (...args) => expert.encodeText(...args),
    embedTimesteps: (...args) => expert.embedTimesteps(...args),
    openSession: (...args) => expert.openSession(...args),
    close: async () => {
      await expert.close();
      await worker[Symbol.asyncDispose]();
    },
  };
}
