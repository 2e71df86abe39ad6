/** What there is to draw with: `/api/v1/models`, `methods`, `samplers`, `workers`. @module */

import { TuttiError } from "../../../shared/errors.ts";
import { readWorkerStatus } from "../../cluster/worker_status.ts";
import { distilledFor } from "../../ensemble/distilled_for.ts";
import type { Ensemble } from "../../ensemble/ensemble.ts";
import { expertNames } from "../../ensemble/expert_names.ts";
import { defaultMethod, METHODS } from "../../sampling/methods/methods.ts";
import { SAMPLERS } from "../../sampling/samplers/samplers.ts";
import { SCHEDULES } from "../../sampling/samplers/sigma_schedules.ts";
import { pictureSettings } from "../../settings/picture_settings.ts";
import { samplerFacts } from "../../settings/sampler_facts.ts";
import { fileKeyOf } from "../../settings/setting.ts";
import type { JobRuntime } from "../runtime/job_runtime.ts";
import type { ServedEnsemble } from "../runtime/served_ensembles.ts";
import { jsonResponse } from "../server/responses.ts";
import type { Route } from "../server/route.ts";

export function catalogRoutes(runtime: JobRuntime): readonly Route[] {
  const { ensembles } = runtime;
  // They are the same as long as the process lives, and building all samplers takes a moment.
  let samplers: readonly unknown[] | undefined;
  return [
    {
      method: "GET",
      path: "/api/v1/models",
      handle: () => jsonResponse({ models: ensembles.all.map(modelJson) }),
    },
    {
      method: "GET",
      path: "/api/v1/methods",
      handle: () =>
        jsonResponse({
          methods: METHODS.map(({ name, aliases, summary }) => ({ name, aliases, summary })),
        }),
    },
    {
      method: "GET",
      path: "/api/v1/samplers",
      handle: () => {
        samplers ??= SAMPLERS.map(({ name }) => inSnakeCase(samplerFacts(name)));
        const schedules = SCHEDULES.map(({ name, label, aliases, summary }) => ({
          ...{ name, label, aliases, summary },
        }));
        return jsonResponse({ samplers, schedules });
      },
    },
    {
      method: "GET",
      path: "/api/v1/workers",
      handle: async () => {
        const members = ensembles.all.flatMap(({ ensemble }) =>
          ensemble.members.map(({ name, address }) => ({ ensemble: ensemble.name, name, address }))
        );
        return jsonResponse({ workers: await Promise.all(members.map(workerJson)) });
      },
    },
  ];
}

function modelJson({ ensemble, defaults }: ServedEnsemble, index: number) {
  const { name, members, sabw, vaeHash, vae, experts, warnings } = ensemble;
  const names = expertNames(members);
  const { family, sampleSize } = experts[0]!.description;
  const side = sampleSize * vae.factor;
  return {
    name,
    is_default: index === 0,
    family,
    experts: experts.map(({ description: { modelHash, loras } }, i) => ({
      name: names[i],
      model_hash: modelHash,
      loras: loras.map(({ name, hash }) => ({ name, hash })),
    })),
    vae_hash: vaeHash,
    sabw_hash: sabw?.hash ?? null,
    method: defaultMethod(sabw !== undefined),
    methods: methodsFor(ensemble, names),
    size: { width: side, height: side },
    defaults: defaultsJson(ensemble, defaults),
    warnings,
  };
}

/** Those that an ensemble can be drawn with, and options as users write them for those that need some. */
function methodsFor({ sabw, featuresDiffer }: Ensemble, names: readonly string[]) {
  const fitting = METHODS.filter(({ usesSabw, takesBlocks }) => {
    const mixesFeatures = usesSabw || takesBlocks;
    return (sabw || !usesSabw) && !(featuresDiffer !== undefined && mixesFeatures);
  });
  return fitting.map(({ name, example }) => ({ name, example: example?.(names) ?? null }));
}

/** What a job is drawn with that says nothing else. */
function defaultsJson(
  ensemble: Ensemble,
  defaults: ServedEnsemble["defaults"],
): Readonly<Record<string, unknown>> {
  const { settings } = pictureSettings({}, { defaults, madeFor: distilledFor(ensemble) });
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      fileKeyOf(name),
      typeof value === "bigint" ? String(value) : value,
    ]),
  );
}

interface Member {
  readonly ensemble: string;
  readonly name: string;
  readonly address: string | undefined;
}

/** One that cannot be reached is told with the reason. */
async function workerJson({ ensemble, name, address = undefined }: Member) {
  const known = { ensemble, expert: name, address: address ?? null };
  if (address === undefined) return { ...known, state: "in this process" };
  try {
    return { ...known, ...inSnakeCase(await readWorkerStatus(address)) };
  } catch (error) {
    return { ...known, state: "unreachable", error: TuttiError.from(error).message };
  }
}

/** Keys as the rest of the API has them. */
function inSnakeCase(facts: object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(facts).map(([name, value]) => [
      fileKeyOf(name),
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? inSnakeCase(value)
        : value,
    ]),
  );
}
