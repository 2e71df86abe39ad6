/** A job that takes little time. @module */

import type { JobSpec } from "../../../coordinator/jobs/job_spec.ts";
import { PROMPT } from "../../support/zoo.ts";

export const JOB: JobSpec = {
  prompt: PROMPT,
  negative: "",
  promptSyntax: "a1111",
  clipSkip: 1,
  steps: 4,
  guidance: 7.5,
  seeds: [7n],
  wireDtype: "auto",
  ensemble: "shapes",
};
