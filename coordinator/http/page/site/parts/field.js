/** A labelled control with its hint and what is wrong with it. @module */

import { html } from "./html.js";

/**
 * @param control given the attributes that tie it to its label, hint and error
 * @param error message about this field; undefined if there is none
 * @param aside what stands opposite the label
 */
export function Field({ name, label, hint, error, aside, control }) {
  const id = `field-${name}`;
  const told = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  const tied = {
    ...{ id, name },
    "aria-describedby": told || undefined,
    "aria-invalid": error ? "true" : undefined,
  };
  return html`
    <div class="field">
      <div class="label-row"><label class="label" for=${id}>${label}</label>${aside}</div>
      ${control(tied)}
      ${hint && html`<p id=${`${id}-hint`} class="hint">${hint}</p>`}
      ${error && html`<p id=${`${id}-error`} class="error">${error}</p>`}
    </div>
  `;
}

export function Choice({ tied, value, onChange, options }) {
  const choose = ({ target }) => onChange(target.value);
  const rows = options.map((option) =>
    html`
      <option value=${option.value} selected=${option.value === value}>${option.label}</option>
    `
  );
  return html`<select ...${tied} value=${value} onChange=${choose}>${rows}</select>`;
}

/** Kept as text, so that what somebody types is what is there. */
export function NumberInput({ tied, value, onChange, ...limits }) {
  const write = ({ target }) => onChange(target.value);
  return html`
    <input ...${tied} ...${limits} type="number" inputmode="decimal" value=${value}
      onInput=${write} />
  `;
}
