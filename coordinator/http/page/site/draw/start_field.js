/** A picture to start from, and a mask of what is drawn anew in it. @module */

import { Field, NumberInput } from "../parts/field.js";
import { html } from "../parts/html.js";

/** As the native API reads pictures. */
const KINDS = "image/png,image/jpeg,image/webp";

/** Fields of the form that this one has, with what they hold while there is no picture. */
export const NO_START = { init: "", mask: "", strength: "0.75", mask_blur: "4" };

export function StartField({ values, onChange, errors }) {
  const picture = (name, label, hint) =>
    html`
      <${PictureInput} name=${name} label=${label} hint=${hint} url=${values[name]}
        error=${errors[name]} onChange=${(url) => onChange({ [name]: url })} />
    `;
  const number = (name, label, hint, limits) => {
    const control = (tied) =>
      html`
        <${NumberInput} tied=${tied} value=${values[name]} ...${limits}
          onChange=${(text) => onChange({ [name]: text })} />
      `;
    return html`
      <${Field} name=${name} label=${label} hint=${hint} error=${errors[name]}
        control=${control} />
    `;
  };
  return html`
    <details class="more" open=${values.init !== ""}>
      <summary>Start from a picture ${values.init && html`<span class="badge">set</span>`}</summary>
      <div class="fields">
        ${picture("init", "Start picture", "stretched to the size above")}
        ${values.init && number("strength", "Strength", "0 keeps it, 1 draws all of it anew", {
          ...{ min: 0, max: 1, step: 0.05 },
        })}
        ${values.init && picture("mask", "Mask", "only where it is white something is drawn")}
        ${values.init && values.mask && number("mask_blur", "Soft edge of the mask", "in pixels", {
          ...{ min: 0, max: 64, step: 1 },
        })}
      </div>
    </details>
  `;
}

function PictureInput({ name, label, hint, url, error, onChange }) {
  const read = ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    const reader = new FileReader();
    reader.onload = () => onChange(reader.result);
    reader.readAsDataURL(file);
  };
  const control = (tied) =>
    html`
      <div class="picture-input">
        ${url && html`<img src=${url} alt=${`${label} that was chosen`} />`}
        <input ...${tied} type="file" accept=${KINDS} onChange=${read} />
        ${url && html`<button type="button" onClick=${() => onChange("")}>Remove</button>`}
      </div>
    `;
  return html`
    <${Field} name=${name} label=${label} hint=${hint} error=${error}
      control=${control} />
  `;
}
