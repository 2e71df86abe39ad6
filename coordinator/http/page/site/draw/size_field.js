/** Width and height, and the shapes that people want most. @module */

import { Field, NumberInput } from "../parts/field.js";
import { html } from "../parts/html.js";

/** Sides are multiples of this many pixels. */
const GRID = 8;
const SHAPES = [["Square", 1], ["Portrait", 2 / 3], ["Landscape", 3 / 2]];

/** About as many pixels as the experts' own size has. */
function shaped({ width, height }, ratio) {
  const side = (pixels) => String(Math.round(pixels / GRID) * GRID);
  const area = width * height;
  return { width: side(Math.sqrt(area * ratio)), height: side(Math.sqrt(area / ratio)) };
}

export function SizeField({ values, model, onChange, error }) {
  const shapes = SHAPES.map(([name, ratio]) => ({ name, ...shaped(model.size, ratio) }));
  return html`<fieldset class="group">
    <legend class="label">Size</legend>
    <div class="segments">
      ${
    shapes.map(({ name, width, height }) =>
      html`
        <button type="button"
          aria-pressed=${values.width === width && values.height === height ? "true" : "false"}
          onClick=${() => onChange({ width, height })}>${name}</button>
      `
    )
  }
    </div>
    <div class="pair">
      ${
    ["width", "height"].map((side) =>
      html`
        <${Field} name=${side} label=${side === "width" ? "Width" : "Height"}
          control=${(tied) =>
            html`
              <${NumberInput} tied=${tied} value=${values[side]} min=${GRID} step=${GRID}
                onChange=${(text) => onChange({ [side]: text })} />
            `} />
      `
    )
  }
    </div>
    ${error && html`<p class="error">${error}</p>`}
  </fieldset>`;
}
