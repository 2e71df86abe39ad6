/** A job that takes little time. @module */

import { type JobSpec, newJob } from "../../../coordinator/jobs/job_spec.ts";
import { PROMPT } from "../../support/zoo.ts";

export const JOB: JobSpec = newJob({ prompt: PROMPT, seeds: [7n], ensemble: "shapes" }, {
  steps: 4,
});
