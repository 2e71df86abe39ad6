/**
 * LoRAs of workers that run already. They are part of the weights that a worker has loaded, so a command can only see
 * whether they are the ones it wants.
 *
 * @module
 */

import { readLoraFile } from "../../shared/checkpoint/lora/lora_file.ts";
import { formatLoraChoice, type LoraChoice } from "../../shared/checkpoint/lora/lora_choice.ts";
import { describeLora, type LoraDescription } from "../../shared/checkpoint/lora/merge_loras.ts";
import { TuttiError } from "../../shared/errors.ts";

/** LoRAs as a record of a worker keeps them: real paths and weights, in an order of their own. */
export async function recordedLoras(loras: readonly LoraChoice[]): Promise<string[]> {
  const real = loras.map(async ({ path, weight }) => ({
    // Whoever opens the file says that it is not there.
    path: await Deno.realPath(path).catch(() => path),
    weight,
  }));
  return (await Promise.all(real)).map(formatLoraChoice).sort();
}

/**
 * Whether a connected worker runs with the LoRAs that the ensemble or a flag asks for. By content: the worker may know
 * the files by other names.
 *
 * @throws {TuttiError} FAILED_PRECONDITION with both lists and the next step
 * @throws {FormatError} if a file cannot be read
 */
export async function checkRunningLoras(
  wanted: readonly LoraChoice[],
  running: readonly LoraDescription[],
  { name, address }: { readonly name: string; readonly address: string },
): Promise<void> {
  const described = await Promise.all(
    wanted.filter(({ weight }) => weight !== 0).map(async ({ path, weight }) =>
      describeLora(await readLoraFile(path), weight)
    ),
  );
  const content = (loras: readonly LoraDescription[]) =>
    loras.map(({ hash, weight }) => `${hash} ${weight}`).sort().join();
  if (content(described) === content(running)) return;
  const flags = wanted.map((choice) => `--lora ${formatLoraChoice(choice)}`).join(" ");
  throw otherLoras(
    { name, address, running: running.map(({ name, weight }) => `${name}:${weight}`) },
    `start that worker again with "${flags}"`,
  );
}

/** A worker's LoRAs are not the wanted ones. */
export function otherLoras(
  { name, address, running }: {
    readonly name: string;
    readonly address: string;
    readonly running: readonly string[];
  },
  nextStep: string,
): TuttiError {
  const current = running.length === 0 ? "no LoRA" : `LoRA ${running.join(", ")}`;
  return new TuttiError(
    "FAILED_PRECONDITION",
    `Expert "${name}" runs at ${address} with ${current}, and a running worker cannot change that: ${nextStep}`,
    { details: { worker: address, field: "loras" } },
  );
}
