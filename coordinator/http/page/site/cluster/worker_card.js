/** One expert's worker. @module */

import { bytes, duration, shortHash } from "../parts/format.js";
import { html } from "../parts/html.js";

/** @param rate blocks a second; undefined until it is known */
export function WorkerCard({ worker, rate }) {
  const { expert, state, address, error } = worker;
  return html`<li class=${`card worker ${isWell(state) ? "" : "ill"}`}>
    <div class="worker-head">
      <h3>${expert}</h3>
      <span class=${`state ${isWell(state) ? "well" : "ill"}`}>${state}</span>
    </div>
    <p class="hint">${address ?? "part of the server"}${
    worker.device && ` · ${worker.device} ${worker.precision}`
  }</p>
    ${error && html`<p class="error">${error}</p>`}
    ${
    worker.lanes !== undefined && html`
      <${Lanes} ...${worker} />
      <dl class="facts">
        ${factsOf(worker, rate).map(([name, value]) =>
          html`
            <div>
              <dt>${name}</dt>
              <dd class="number">${value}</dd>
            </div>
          `
        )}
      </dl>
    `
  }
  </li>`;
}

function isWell(state) {
  return state === "serving" || state === "in this process";
}

function Lanes({ lanes, busy_lanes: busy, expert }) {
  return html`
    <div class="lanes">
      <meter min="0" max=${lanes} value=${busy} aria-label=${`Busy lanes of ${expert}`}></meter>
      <span class="number">${busy} of ${lanes} ${lanes === 1 ? "lane" : "lanes"} busy</span>
    </div>
  `;
}

function factsOf(worker, rate) {
  return [
    ["Blocks", rate === undefined ? "–" : `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} / s`],
    ["Waiting calls", worker.queue_depth],
    ["Sessions", `${worker.sessions} of ${worker.max_sessions}`],
    ["Memory", bytes(worker.resident_bytes)],
    ["Up", duration(worker.uptime_seconds)],
    ["Model", shortHash(worker.model_hash)],
    ["Version", worker.versions.tutti],
  ];
}
