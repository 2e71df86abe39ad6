/** Plays one scenario with the programs of two versions, one after the other, and compares what they gave. @module */

import { oneLine } from "../../shared/terminal/display_width.ts";
import { firstDifference, formatDifference, type OutcomeDifference } from "./compare_outcomes.ts";
import { type Amount, amounts, type Outcome } from "./outcome.ts";
import { type Conditions, playScenario, type Scenario } from "./scenario.ts";

export interface Comparing extends Conditions {
  /** The `main.ts` of each version. */
  readonly programs: Readonly<Record<Version, string>>;
  readonly signal: AbortSignal;
  /** Told when a version begins. */
  readonly onVersion: (version: Version) => void;
}

export type Version = "base" | "current";

export interface ScenarioResult {
  readonly scenario: string;
  readonly verdict: "equal" | "different" | "failed" | "skipped";
  /** What both gave, by kind; absent if one of them gave nothing. */
  readonly compared?: Readonly<Record<string, Amount>>;
  readonly difference?: OutcomeDifference;
  /** Why it was skipped or has failed. */
  readonly reason?: string;
  readonly seconds: Readonly<Partial<Record<Version, number>>>;
}

const VERSIONS: readonly Version[] = ["base", "current"];
/** Longest reason that fits a table. */
const REASON_CHARS = 600;

/** Does not throw what a scenario throws: that is a result, unless the signal has fired. */
export async function compareVersions(
  scenario: Scenario,
  comparing: Comparing,
): Promise<ScenarioResult> {
  const { programs, signal, goldens, onVersion } = comparing;
  const { name } = scenario;
  const obstacle = await scenario.obstacle?.(comparing);
  if (obstacle !== undefined) {
    return { scenario: name, verdict: "skipped", reason: obstacle, seconds: {} };
  }
  const outcomes: Outcome[] = [];
  const seconds: Partial<Record<Version, number>> = {};
  for (const version of VERSIONS) {
    onVersion(version);
    const start = performance.now();
    try {
      const mainProgram = programs[version];
      outcomes.push(await playScenario(scenario, { mainProgram, signal, goldens }));
    } catch (error) {
      signal.throwIfAborted();
      const message = oneLine(error instanceof Error ? error.message : String(error));
      const reason = `with the ${version} program: ${message.slice(0, REASON_CHARS)}`;
      return { scenario: name, verdict: "failed", reason, seconds };
    }
    seconds[version] = Math.round((performance.now() - start) / 1000);
  }
  const [base, current] = outcomes as [Outcome, Outcome];
  const comparable = scenario.mayGrow ? knownTo(base, current) : current;
  return { scenario: name, ...verdictOn(base, comparable), seconds };
}

/** What the base has, too. */
export function knownTo(base: Outcome, current: Outcome): Outcome {
  const known = Object.entries(current).map(([kind, tensors]) => [
    kind,
    new Map([...tensors].filter(([name]) => base[kind]?.has(name) ?? false)),
  ]);
  return Object.fromEntries(known);
}

/** An outcome without any value would be equal to itself, whatever the programs do. */
export function verdictOn(
  base: Outcome,
  current: Outcome,
): Pick<ScenarioResult, "verdict" | "compared" | "difference" | "reason"> {
  const compared = amounts(base);
  const difference = firstDifference(base, current);
  if (difference) return { verdict: "different", compared, difference };
  const [empty] = Object.entries(compared).find(([, { values }]) => values === 0) ?? [];
  if (empty) return { verdict: "failed", compared, reason: `there are no ${empty} to compare` };
  return { verdict: "equal", compared };
}

/** `latents 768 in 1, maps 12800 in 100`: values and tensors of each kind. */
export function formatCompared({ compared = {} }: ScenarioResult): string {
  return Object.entries(compared).map(([kind, { values, tensors }]) =>
    `${kind} ${values} in ${tensors}`
  ).join(", ");
}

export function formatVerdict({ verdict, difference, reason }: ScenarioResult): string {
  if (difference) return `${verdict}: ${formatDifference(difference)}`;
  return reason === undefined ? verdict : `${verdict}: ${reason}`;
}
