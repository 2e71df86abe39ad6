/** Width and height, and the shapes that people want most. @module */

import { Field, NumberInput } from "../parts/field.js";
import { html } from "../parts/html.js";
import { Segments } from "../parts/segments.js";

/** Sides are multiples of this many pixels. */
const GRID = 8;
const SHAPES = [["Square", 1], ["Portrait", 2 / 3], ["Landscape", 3 / 2]];

/** About as many pixels as the experts' own size has. */
function shaped({ width, height }, ratio) {
  const side = (pixels) => String(Math.round(pixels / GRID) * GRID);
  const area = width * height;
  return { width: side(Math.sqrt(area * ratio)), height: side(Math.sqrt(area / ratio)) };
}

export function SizeField({ values, model, onChange, errors }) {
  const error = errors.size;
  const shapes = SHAPES.map(([label, ratio]) => {
    const size = shaped(model.size, ratio);
    return { label, size, value: `${size.width}x${size.height}` };
  });
  const current = `${values.width}x${values.height}`;
  const choose = (chosen) => onChange(shapes.find(({ value }) => value === chosen).size);
  const sides = [["width", "Width"], ["height", "Height"]].map(([side, label]) => {
    const change = (text) => onChange({ [side]: text });
    const control = (tied) =>
      html`
        <${NumberInput} tied=${tied} value=${values[side]} min=${GRID} step=${GRID}
          onChange=${change} />
      `;
    return html`<${Field} name=${side} label=${label} control=${control} />`;
  });
  return html`
    <fieldset class="group" aria-invalid=${error && "true"}>
      <legend class="label">Size</legend>
      <${Segments} label="Shape" value=${current} options=${shapes} onChange=${choose} />
      <div class="pair">${sides}</div>
      ${error && html`<p class="error" role="alert">${error}</p>`}
    </fieldset>
  `;
}
