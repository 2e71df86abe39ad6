/**
 * One picture of a job, or the place where it will be. What is seen of it before it is finished (`preview`, an address of a
 * picture) and what lies over it (`children`) are for others to give.
 *
 * @module
 */

import { html } from "../parts/html.js";

export function PictureFrame({ output, size, preview, alt, children }) {
  const { width, height } = output ?? size;
  const src = output?.url ?? preview;
  // Small pictures, such as the bundled experts draw, are shown larger, and with their pixels.
  const kind = width <= 160 ? "frame small" : "frame";
  const picture = html`<img src=${src} width=${width} height=${height} alt=${alt} />`;
  const blank = html`<div class="blank" aria-hidden="true"></div>`;
  return html`
    <div class=${kind} style=${{ aspectRatio: `${width} / ${height}` }}>
      ${src ? picture : blank} ${children}
    </div>
  `;
}
