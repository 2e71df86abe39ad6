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
  const workers = value?.workers ?? [];
  const rates = useRates(value?.workers);
  const ensembles = catalog.models.map((model) => {
    const own = workers.filter(({ ensemble }) => ensemble === model.name);
    return html`<${Ensemble} key=${model.name} ...${{ model, rates }} workers=${own} />`;
  });
  return html`
    <div class="view-head">
      <h1>Cluster</h1>
    </div>
    ${error && html`<${Problem} error=${error} />`} ${ensembles}
    <${Faults} />
  `;
}

function Ensemble({ model, workers, rates }) {
  const { name, family, size, experts, sabw_hash: sabw, vae_hash: vae, warnings } = model;
  const loras = experts.flatMap((expert) => expert.loras.map((lora) => lora.name));
  const facts = [
    family,
    `${size.width} × ${size.height}`,
    sabw ? `SABW ${shortHash(sabw)}` : "no SABW",
    `VAE ${shortHash(vae)}`,
    ...(loras.length > 0 ? [`LoRAs ${loras.join(", ")}`] : []),
  ];
  const cards = workers.map((worker) =>
    html`<${WorkerCard} key=${worker.expert} worker=${worker} rate=${rates.get(worker)} />`
  );
  const told = warnings.map((text) => html`<p class="warning">${text}</p>`);
  return html`
    <section class="ensemble" aria-labelledby=${`ensemble-${name}`}>
      <div class="ensemble-head">
        <h2 id=${`ensemble-${name}`}>${name}</h2>
        <p class="soft">${facts.join(" · ")}</p>
      </div>
      <ul class="workers">${cards}</ul>
      ${told}
    </section>
  `;
}

function Faults() {
  const { value } = useAsked("GET /api/v1/jobs?status=failed&limit=10", JOBS_MS);
  if (!value) return null;
  const failures = value.jobs.map((job) =>
    html`
      <li key=${job.id} class="card">
        <p class="error">${stateText(job)}</p>
        <p class="hint">${moment(job.completed_at)} · ${job.error.code} · ${job.ensemble}</p>
      </li>
    `
  );
  const none = html`<p class="soft">None of those that are kept.</p>`;
  return html`
    <section class="faults" aria-labelledby="faults">
      <h2 id="faults">Jobs that failed</h2>
      ${failures.length === 0 ? none : html`<ul class="failures">${failures}</ul>`}
    </section>
  `;
}
