/** How a picture was drawn. @module */

import { methodOf } from "../job/job_text.js";
import { Facts } from "../parts/facts.js";
import { bytes, moment } from "../parts/format.js";
import { html } from "../parts/html.js";

/** Told by name, in this order; all others after them. */
const LABELS = { sampler: "Sampler", schedule: "Schedule", steps: "Steps", guidance: "Guidance" };
const HIDDEN = ["negative", "method", "size", ...Object.keys(LABELS)];

export function FactsPanel({ job, output, catalog }) {
  const { settings, prompt } = job;
  const facts = [
    ["Ensemble", job.ensemble],
    ["Method", methodOf(job, catalog.models)],
    ...Object.entries(LABELS).filter(([name]) => settings[name] !== undefined)
      .map(([name, label]) => [label, settings[name]]),
    ["Seed", output.seed],
    ["Size", `${output.width} × ${output.height}`],
    ...Object.entries(settings).filter(([name]) => !HIDDEN.includes(name))
      .map(([name, value]) => [name.replaceAll("_", " "), plain(value)]),
    ["Drawn", moment(job.completed_at)],
    ["Kept until", moment(job.expires_at)],
    ["File", `${bytes(output.size_bytes)} PNG`],
  ];
  const negative = settings.negative &&
    html`<p class="soft negative">Not: ${settings.negative}</p>`;
  const warnings = job.warnings.map((text) => html`<p class="warning">${text}</p>`);
  return html`
    <section aria-label="How it was drawn">
      <h2 class="prompt">${prompt || "Without a prompt"}</h2>
      ${negative}
      <${Facts} facts=${facts} />
      ${warnings}
    </section>
  `;
}

function plain(value) {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
