/** What the form holds, all of it as text under the API's names, and what becomes of it. @module */

import { randomSeed } from "./random_seed.js";

/** @param model of the catalog */
export function defaultsOf(model, catalog) {
  const { defaults, size } = model;
  return {
    prompt: "",
    negative: defaults.negative ?? "",
    ensemble: model.name,
    ...splitMethod(defaults.method ?? model.method),
    ...splitSampler(defaults.sampler, defaults.schedule, catalog),
    steps: String(defaults.steps),
    guidance: String(defaults.guidance),
    width: String(defaults.size?.width ?? size.width),
    height: String(defaults.size?.height ?? size.height),
    seed: "",
    batch: String(defaults.batch ?? 1),
    others: {},
    compare: "nothing",
    compared: [],
  };
}

/** What was chosen before, as far as it is still there. */
export function reconciled(kept, catalog) {
  const model = catalog.models.find(({ name }) => name === kept?.ensemble) ?? catalog.models[0];
  return { ...defaultsOf(model, catalog), ...kept, ensemble: model.name };
}

function splitMethod(text) {
  const [, method, options = ""] = /^([^:]*)(?::(.*))?$/s.exec(text);
  return { method, method_options: options };
}

/** `dpmpp_2m_karras` is a sampler with a schedule: the form has a field for each. */
function splitSampler(name, schedule, { samplers, schedules }) {
  if (samplers.some((each) => each.name === name)) {
    return { sampler: name, schedule: schedule ?? "" };
  }
  const end = schedules.find((each) => name.endsWith(`_${each.name}`));
  const stem = end && name.slice(0, -end.name.length - 1);
  if (samplers.some((each) => each.name === stem)) return { sampler: stem, schedule: end.name };
  return { sampler: name, schedule: schedule ?? "" };
}

/** @param picture which of the job's; undefined for all of them */
export function valuesOfJob({ prompt, ensemble, settings, seeds }, catalog, picture) {
  const model = catalog.models.find(({ name }) => name === ensemble);
  const known = defaultsOf(model ?? catalog.models[0], catalog);
  const { negative, steps, guidance, size, method, sampler, schedule, ...rest } = settings;
  const others = Object.entries(rest).filter(([name, value]) =>
    value !== catalogDefault(model, name)
  );
  return {
    ...known,
    ...{ prompt, negative: negative ?? "", steps: String(steps), guidance: String(guidance) },
    ...(method !== undefined && splitMethod(method)),
    ...(sampler !== undefined && splitSampler(sampler, schedule, catalog)),
    ...(size && { width: String(size.width), height: String(size.height) }),
    seed: seeds[picture ?? 0],
    batch: picture === undefined ? String(seeds.length) : "1",
    others: Object.fromEntries(others.map(([name, value]) => [name, otherText(value)])),
  };
}

function catalogDefault(model, name) {
  return model?.defaults[name];
}

function otherText(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Numbers and lists as JSON has them; anything else is text. */
function otherValue(text) {
  try {
    return JSON.parse(text);
  } catch {
    return /^[A-Z]+\d\d(?:,\s*[A-Z]+\d\d)*$/.test(text) ? text.split(/,\s*/) : text;
  }
}

/** What is compared: what it is called, what it may be, and how a job gets it. */
export const COMPARISONS = {
  methods: {
    choices: ({ methods }, { ensemble }, models) => {
      const fitting = models.find(({ name }) => name === ensemble).methods;
      return methods.filter(({ name }) => fitting.some((each) => each.name === name))
        .map(({ name }) => ({ value: name, label: name }));
    },
    settings: (method, values, model) => {
      const example = model.methods.find(({ name }) => name === method)?.example;
      const own = method === values.method ? values.method_options : example ?? "";
      return { method, method_options: own };
    },
  },
  samplers: {
    choices: ({ samplers }) => samplers.map(({ name, label }) => ({ value: name, label })),
    settings: (sampler, values, _, { samplers }) => {
      const { schedules } = samplers.find(({ name }) => name === sampler);
      return { sampler, schedule: schedules.includes(values.schedule) ? values.schedule : "" };
    },
  },
};

/** @returns one body of `POST /api/v1/jobs` for each job, with the title that tells it from the others */
export function jobBodies(values, catalog) {
  const model = catalog.models.find(({ name }) => name === values.ensemble);
  const comparison = COMPARISONS[values.compare];
  if (!comparison || values.compared.length === 0) return [jobBody(values)];
  const choices = comparison.choices(catalog, values, catalog.models);
  // The same for all: what differs is what is compared.
  const seed = values.seed.trim() === "" ? randomSeed() : values.seed;
  return choices.filter(({ value }) => values.compared.includes(value)).map(({ value }) =>
    jobBody({ ...values, seed, ...comparison.settings(value, values, model, catalog) })
  );
}

function jobBody(values) {
  const { prompt, negative, ensemble, method, method_options: options, sampler, schedule } = values;
  const others = Object.entries(values.others).filter(([, text]) => text.trim() !== "");
  return {
    ...{ prompt, negative, ensemble, sampler },
    method: options.trim() === "" ? method : `${method}:${options.trim()}`,
    ...(schedule !== "" && { schedule }),
    ...{ steps: numberOf(values.steps), guidance: numberOf(values.guidance) },
    size: { width: numberOf(values.width), height: numberOf(values.height) },
    seed: values.seed.trim() === "" ? "-1" : values.seed.trim(),
    batch: numberOf(values.batch),
    ...Object.fromEntries(others.map(([name, text]) => [name, otherValue(text)])),
  };
}

/** What is no number goes as it is: the API says what it must be. */
function numberOf(text) {
  return text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text);
}
