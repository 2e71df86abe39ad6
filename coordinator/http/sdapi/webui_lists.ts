/** The lists of stable-diffusion-webui's API: what there is, and empty lists of what there is not. @module */

import { SAMPLERS } from "../../sampling/samplers/samplers.ts";
import { SCHEDULES } from "../../sampling/samplers/sigma_schedules.ts";
import type { JobRuntime } from "../runtime/job_runtime.ts";
import { jsonResponse } from "../server/responses.ts";
import type { Route } from "../server/route.ts";
import { checkpointOf } from "./checkpoints.ts";

export function webuiLists({ ensembles }: JobRuntime): readonly Route[] {
  const list = (name: string, value: () => unknown): Route => ({
    method: "GET",
    path: `/sdapi/v1/${name}`,
    handle: () => jsonResponse(value()),
  });
  const none = [
    ...["upscalers", "latent-upscale-modes", "sd-vae", "sd-modules", "loras", "hypernetworks"],
    ...["face-restorers", "prompt-styles", "script-info"],
  ];
  return [
    list("sd-models", () =>
      ensembles.all.map((served) => {
        const { title, name, sha256, hash } = checkpointOf(served);
        return { title, model_name: name, hash, sha256, filename: `${name}.toml`, config: null };
      })),
    list("samplers", () =>
      SAMPLERS.map(({ name, label, aliases }) => ({
        name: label,
        aliases: [name, `k_${name}`, ...aliases],
        options: {},
      }))),
    list("schedulers", () => [
      { name: "automatic", label: "Automatic", ...SCHEDULE },
      ...SCHEDULES.map(({ name, label, aliases }) => ({ name, label, ...SCHEDULE, aliases })),
    ]),
    list("embeddings", () => ({ loaded: {}, skipped: {} })),
    list("scripts", () => ({ txt2img: [], img2img: [] })),
    list("cmd-flags", () => ({ api: true })),
    list("memory", () => {
      const { total, free } = Deno.systemMemoryInfo();
      return {
        ram: { free, used: total - free, total },
        cuda: { error: "the graphics cards are the workers': see /api/v1/workers" },
      };
    }),
    ...none.map((name) => list(name, () => [])),
  ];
}

const SCHEDULE = { aliases: null, default_rho: -1, need_inner_model: false };
