/** What there is to draw with. @module */

import { ask } from "./request.js";

/** Settings of a job that the form has fields for: the rest is in the API's document. */
const OWN_FIELDS = [
  ...["prompt", "ensemble", "preset", "negative", "steps", "guidance", "size"],
  ...["sampler", "schedule", "method", "seed", "batch"],
  ...["init", "mask", "strength", "mask_blur"],
];

export async function readCatalog() {
  const [{ models }, { methods }, { samplers, schedules }, document] = await Promise.all(
    ["models", "methods", "samplers", "openapi.json"].map((name) => ask(`GET /api/v1/${name}`)),
  );
  const { properties } = document.components.schemas.NewJob;
  const others = Object.entries(properties).filter(([name]) => !OWN_FIELDS.includes(name))
    .map(([name, { description }]) => ({ name, description }));
  return { models, methods, samplers, schedules, others };
}
