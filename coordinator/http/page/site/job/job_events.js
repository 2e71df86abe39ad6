/** What each event of `/api/v1/jobs/ID/events` makes of a job. Another kind of event is another row. @module */

/** @type {Record<string, (job: object, data: object) => object>} */
export const JOB_EVENTS = {
  status: (_, data) => data,
  progress: (job, progress) => ({ ...job, progress }),
  preview: (job, { urls }) => ({ ...job, previews: urls }),
  output: (job, output) => ({
    ...job,
    outputs: [...job.outputs.filter(({ id }) => id !== output.id), output],
  }),
};

const ENDED = ["succeeded", "failed", "canceled", "expired"];

export function isEnded({ status }) {
  return ENDED.includes(status);
}
