/** The scheduler's config as samplers take it, and that of an ensemble's own file. @module */

import { ConfigFields } from "../../../shared/models/config/fields.ts";
import {
  parseSchedulerConfig,
  type SchedulerConfig,
  type TimestepSpacing,
} from "../../../shared/models/config/scheduler_config.ts";

export {
  DEFAULT_SCHEDULER_CONFIG,
  parseSchedulerConfig,
  type SchedulerConfig,
} from "../../../shared/models/config/scheduler_config.ts";

/** With a sampler's own spacing where the file has none. */
export interface SpacedConfig extends SchedulerConfig {
  readonly timestepSpacing: TimestepSpacing;
}

/**
 * The file that an ensemble names. Of a model's own file `clip_sample` is not read, as diffusers' StableDiffusionPipeline turns it
 * off; who writes it here means it.
 *
 * @throws {FormatError} if the file is missing, damaged, or asks for a feature that is not built
 */
export async function readSchedulerConfig(path: string): Promise<SchedulerConfig> {
  const fields = await ConfigFields.read(path);
  fields.mustBe("clip_sample", false);
  return parseSchedulerConfig(fields);
}
