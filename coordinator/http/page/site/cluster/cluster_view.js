/** Cluster: who draws, how busy they are, and what went wrong. Nothing is changed here. @module */

import { useAsked } from "../api/use_asked.js";
import { stateText } from "../job/job_text.js";
import { moment, shortHash } from "../parts/format.js";
import { html } from "../parts/html.js";
import { Problem } from "../parts/problem.js";
import { useRates } from "./rates.js";
import { WorkerCard } from "./worker_card.js";

const WORKERS_MS = 2000, JOBS_MS = 5000;

export function ClusterView({ catalog }) {
  const { value, error } = useAsked("GET /api/v1/workers", WORKERS_MS);
  const rates = useRates(value?.workers);
  return html`
    <div class="view-head">
      <h1>Cluster</h1>
    </div>
    ${error && html`<${Problem} error=${error} />`}
    ${catalog.models.map((model) =>
      html`<section key=${model.name} class="ensemble" aria-labelledby=${`ensemble-${model.name}`}>
      <${EnsembleHead} model=${model} />
      <ul class="workers">
        ${
        (value?.workers ?? []).filter(({ ensemble }) => ensemble === model.name).map((worker) =>
          html`<${WorkerCard} key=${worker.expert} worker=${worker} rate=${rates.get(worker)} />`
        )
      }
      </ul>
      ${model.warnings.map((text) => html`<p class="warning">${text}</p>`)}
    </section>`
    )}
    <${Faults} />
  `;
}

function EnsembleHead({ model: { name, family, size, experts, sabw_hash: sabw, vae_hash: vae } }) {
  const loras = experts.flatMap((expert) => expert.loras.map((lora) => lora.name));
  const facts = [
    family,
    `${size.width} × ${size.height}`,
    sabw ? `SABW ${shortHash(sabw)}` : "no SABW",
    `VAE ${shortHash(vae)}`,
    ...(loras.length > 0 ? [`LoRAs ${loras.join(", ")}`] : []),
  ];
  return html`
    <div class="ensemble-head">
      <h2 id=${`ensemble-${name}`}>${name}</h2>
      <p class="soft">${facts.join(" · ")}</p>
    </div>
  `;
}

function Faults() {
  const { value } = useAsked("GET /api/v1/jobs?status=failed&limit=10", JOBS_MS);
  if (!value) return null;
  return html`<section class="faults" aria-labelledby="faults">
    <h2 id="faults">Jobs that failed</h2>
    ${
    value.jobs.length === 0
      ? html`<p class="soft">None of those that are kept.</p>`
      : html`<ul class="failures">
          ${
        value.jobs.map((job) =>
          html`
            <li key=${job.id} class="card">
              <p class="error">${stateText(job)}</p>
              <p class="hint">${moment(job.completed_at)} · ${job.error.code} · ${job.ensemble}</p>
            </li>
          `
        )
      }
        </ul>`
  }
  </section>`;
}
