/** What the form holds: all of it as text, under the API's names. @module */

import { NO_START } from "./start_field.js";

/** @param model of the catalog */
export function defaultsOf(model, catalog) {
  const { defaults, size } = model;
  return {
    prompt: "",
    negative: defaults.negative,
    ensemble: model.name,
    ...splitMethod(defaults.method ?? model.method),
    ...splitSampler(defaults.sampler, defaults.schedule, catalog),
    ...{ steps: String(defaults.steps), guidance: String(defaults.guidance) },
    ...sides(defaults.size ?? size),
    ...{ seed: "", batch: String(defaults.batch) },
    ...NO_START,
    // Settings that have no field of their own.
    others: {},
    ...{ compare: "nothing", compared: [] },
  };
}

/** What was chosen before, as far as it is still there. */
export function reconciled(kept, catalog) {
  const model = catalog.models.find(({ name }) => name === kept?.ensemble) ?? catalog.models[0];
  const known = defaultsOf(model, catalog);
  const values = { ...known, ...kept, ensemble: model.name };
  const isThere = model.methods.some(({ name }) => name === values.method);
  return isThere ? values : { ...values, ...splitMethod(model.method) };
}

/** Another ensemble has other sizes and methods; what is to be drawn stays. */
export function withEnsemble({ prompt, negative, seed, batch }, ensemble, catalog) {
  const model = catalog.models.find(({ name }) => name === ensemble);
  return { ...defaultsOf(model, catalog), prompt, negative, seed, batch };
}

/** What a job was drawn with. @param picture which of the job's; undefined for all of them */
export function valuesOfJob({ prompt, ensemble, settings, seeds }, catalog, picture) {
  const model = catalog.models.find(({ name }) => name === ensemble) ?? catalog.models[0];
  const { negative, steps, guidance, size, method, sampler, schedule, ...unnamed } = settings;
  // The picture that it started from is not kept.
  const { strength: _, mask_blur: __, ...rest } = unnamed;
  const others = Object.entries(rest).filter(([name, value]) => value !== model.defaults[name]);
  return {
    ...defaultsOf(model, catalog),
    ...{ prompt, negative, steps: String(steps), guidance: String(guidance) },
    ...(method !== undefined && splitMethod(method)),
    ...(sampler !== undefined && splitSampler(sampler, schedule, catalog)),
    ...(size && sides(size)),
    seed: seeds[picture ?? 0],
    batch: picture === undefined ? String(seeds.length) : "1",
    others: Object.fromEntries(others.map(([name, value]) => [name, textOf(value)])),
  };
}

function sides({ width, height }) {
  return { width: String(width), height: String(height) };
}

function splitMethod(text) {
  const [, method, options = ""] = /^([^:]*)(?::(.*))?$/s.exec(text);
  return { method, method_options: options };
}

/** `dpmpp_2m_karras` is a sampler with a schedule: the form has a field for each. */
function splitSampler(name, schedule = "", { samplers, schedules }) {
  const isSampler = (text) => samplers.some((each) => each.name === text);
  const end = schedules.map((each) => `_${each.name}`).find((suffix) => name.endsWith(suffix));
  const stem = end && name.slice(0, -end.length);
  if (isSampler(name) || !isSampler(stem)) return { sampler: name, schedule };
  return { sampler: stem, schedule: end.slice(1) };
}

function textOf(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}
