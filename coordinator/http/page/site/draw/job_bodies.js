/** From the form to jobs. @module */

import { COMPARISONS } from "./comparisons.js";

/** How many jobs the form is for. */
export function jobCount(values, catalog) {
  return Math.max(1, comparedChoices(values, catalog).length);
}

/** @returns one body of `POST /api/v1/jobs` for each job */
export function jobBodies(values, catalog) {
  const compared = comparedChoices(values, catalog);
  if (compared.length === 0) return [jobBody(values)];
  // The same for all: what differs is what is compared.
  const seed = values.seed.trim() === "" ? randomSeed() : values.seed;
  const { settings } = COMPARISONS[values.compare];
  return compared.map((choice) =>
    jobBody({ ...values, seed, ...settings(choice, values, catalog) })
  );
}

/** Those that are ticked, in the order in which the form has them. */
function comparedChoices(values, catalog) {
  const choices = COMPARISONS[values.compare]?.choices(catalog, values) ?? [];
  return choices.map(({ value }) => value).filter((value) => values.compared.includes(value));
}

/** Digits of a whole number below 2^32, which people can read and copy. */
function randomSeed() {
  return String(crypto.getRandomValues(new Uint32Array(1))[0]);
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
    ...startOf(values),
    ...Object.fromEntries(others.map(([name, text]) => [name, otherValue(text)])),
  };
}

/** Of a start picture: without one the fields mean nothing. */
function startOf({ init, mask, strength, mask_blur: blur }) {
  if (init === "") return {};
  return {
    ...{ init, strength: numberOf(strength) },
    ...(mask !== "" && { mask, mask_blur: numberOf(blur) }),
  };
}

/** What is no number goes as it is: the API says what it must be. */
function numberOf(text) {
  return text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text);
}

/** Numbers and lists as JSON has them, ids of blocks as people write them; anything else is text. */
function otherValue(text) {
  try {
    return JSON.parse(text);
  } catch {
    return /^[A-Z]+\d\d(?:,\s*[A-Z]+\d\d)*$/.test(text) ? text.split(/,\s*/) : text;
  }
}
