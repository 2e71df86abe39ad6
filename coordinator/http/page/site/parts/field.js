/** A labelled control with its hint and what is wrong with it. @module */

import { html } from "./html.js";

/**
 * @param control given the attributes that tie it to its label, hint and error
 * @param error message about this field; undefined if there is none
 */
export function Field({ name, label, hint, error, aside, control, className = "" }) {
  const id = `field-${name}`;
  const told = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  const tied = {
    id,
    name,
    "aria-describedby": told || undefined,
    "aria-invalid": error ? "true" : undefined,
  };
  return html`<div class=${`field ${className}`}>
    <div class="label-row">
      <label class="label" for=${id}>${label}</label>
      ${aside}
    </div>
    ${control(tied)}
    ${hint && html`<p id=${`${id}-hint`} class="hint">${hint}</p>`}
    ${error && html`<p id=${`${id}-error`} class="error">${error}</p>`}
  </div>`;
}

export function Choice({ tied, value, onChange, options }) {
  return html`<select ...${tied} value=${value} onChange=${({ target }) => onChange(target.value)}>
    ${
    options.map(({ value: each, label }) =>
      html`<option value=${each} selected=${each === value}>${label}</option>`
    )
  }
  </select>`;
}

/** Kept as text, so that what somebody types is what is there. */
export function NumberInput({ tied, value, onChange, ...limits }) {
  return html`
    <input ...${tied} type="number" inputmode="decimal" ...${limits} value=${value}
      onInput=${({ target }) => onChange(target.value)} />
  `;
}
