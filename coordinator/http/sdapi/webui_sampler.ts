/** Sampler and schedule as the webui's clients name them: apart, or joined as they once were. @module */

import { TuttiError } from "../../../shared/errors.ts";
import { findSampler, findSchedule, takesSchedule } from "../../sampling/samplers/find_sampler.ts";
import type { GivenSettings } from "../../settings/settings.ts";
import { wrongField } from "../runtime/job_request.ts";
import type { JsonObject } from "../server/request_body.ts";

/** @throws {TuttiError} NOT_FOUND as the webui says it */
export function readSampler(body: JsonObject): GivenSettings {
  const { sampler_name, sampler_index, scheduler } = body;
  const wanted = sampler_name || sampler_index;
  const sampler = wanted ? findNamed(findSampler, wanted, "Sampler") : undefined;
  const isAutomatic = !scheduler || /^automatic$/i.test(String(scheduler));
  if (isAutomatic) return sampler ? { sampler: sampler.name } : {};
  const schedule = findNamed(findSchedule, scheduler, "Scheduler").name;
  // A joined name such as "DPM++ 2M Karras" has one already.
  const plain = sampler?.schedule === undefined
    ? sampler
    : findSampler(sampler.name.slice(0, -sampler.schedule.length - 1));
  if (plain && !takesSchedule(plain, schedule)) {
    throw wrongField("scheduler", `one that ${plain.label} takes`, scheduler);
  }
  // Joined, what the picture says of itself has both.
  return plain ? { sampler: findSampler(`${plain.name} ${schedule}`).name } : { schedule };
}

function findNamed<T>(find: (name: string) => T, name: unknown, what: string): T {
  try {
    return find(String(name));
  } catch (cause) {
    throw new TuttiError("NOT_FOUND", `${what} not found: ${TuttiError.from(cause).message}`, {
      cause,
    });
  }
}
