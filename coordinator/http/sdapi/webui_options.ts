/**
 * `/sdapi/v1/options`: what the webui keeps for all its users is kept here for each owner, so that nobody's pictures change
 * because somebody else chose another checkpoint. It lasts as long as the server.
 *
 * @module
 */

import { readSetting, wrongField } from "../runtime/job_request.ts";
import type { JobRuntime } from "../runtime/job_runtime.ts";
import type { ServedEnsemble } from "../runtime/served_ensembles.ts";
import type { JsonObject } from "../server/request_body.ts";
import { checkpointOf, findCheckpoint } from "./checkpoints.ts";

interface Choice {
  readonly served: ServedEnsemble;
  readonly clipSkip: number | undefined;
}

/** Owners whose choices are remembered, the latest. */
const REMEMBERED = 1000;

/** Options that change pictures and have one value here. Clients give the whole object back that they have read. */
const FIXED: Readonly<Record<string, readonly unknown[]>> = {
  sd_vae: ["Automatic", "None", "", null],
  randn_source: ["CPU"],
  eta_noise_seed_delta: [0],
  samples_format: ["png"],
};

export class WebuiOptions {
  readonly #runtime: JobRuntime;
  readonly #choices = new Map<string, Choice>();

  constructor(runtime: JobRuntime) {
    this.#runtime = runtime;
  }

  of(owner: string): Choice {
    return this.#choices.get(owner) ??
      { served: this.#runtime.ensembles.first, clipSkip: undefined };
  }

  json(owner: string): JsonObject {
    const { served, clipSkip = served.defaults?.values.clipSkip ?? 1 } = this.of(owner);
    const { title, sha256 } = checkpointOf(served);
    return {
      sd_model_checkpoint: title,
      sd_checkpoint_hash: sha256,
      CLIP_stop_at_last_layers: clipSkip,
      ...Object.fromEntries(Object.entries(FIXED).map(([name, [value]]) => [name, value])),
      samples_save: true,
      live_previews_enable: false,
      show_progress_every_n_steps: -1,
    };
  }

  /** @throws {TuttiError} if it is a checkpoint or a value that there is not; then nothing has changed */
  set(owner: string, options: JsonObject): void {
    const choice = this.with(owner, options);
    this.#choices.delete(owner);
    this.#choices.set(owner, choice);
    const [oldest] = this.#choices.keys();
    if (this.#choices.size > REMEMBERED) this.#choices.delete(oldest!);
  }

  /** What holds with these in place of the owner's own. Keys that are not known change nothing. @throws as `set()` */
  with(owner: string, options: JsonObject): Choice {
    for (const [name, values] of Object.entries(FIXED)) {
      const value = options[name];
      if (value !== undefined && !values.includes(value)) {
        throw wrongField(name, JSON.stringify(values[0]), value);
      }
    }
    const { served, clipSkip } = this.of(owner);
    const { sd_model_checkpoint: title, CLIP_stop_at_last_layers: skip } = options;
    const isNamed = typeof title === "string" && title !== "";
    return {
      served: isNamed ? findCheckpoint(this.#runtime.ensembles, title) : served,
      clipSkip: skip === undefined || skip === null
        ? clipSkip
        : readSetting("clipSkip", skip, "CLIP_stop_at_last_layers"),
    };
  }
}
