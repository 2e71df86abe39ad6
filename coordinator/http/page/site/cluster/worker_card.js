/** One expert's worker. @module */

import { bytes, duration, shortHash } from "../parts/format.js";
import { Facts } from "../parts/facts.js";
import { html } from "../parts/html.js";

/** Others come or go. */
const HEALTH = { "serving": "well", "in this process": "well", "unreachable": "ill" };

/** @param rate blocks a second; undefined until it is known */
export function WorkerCard({ worker, rate }) {
  const { expert, state, address, error, device, precision, lanes } = worker;
  const health = HEALTH[state] ?? "changing";
  const place = [address ?? "part of the server", device && `${device} ${precision}`];
  const figures = lanes !== undefined && html`
    <${Lanes} ...${worker} />
    <${Facts} facts=${factsOf(worker, rate)} />
  `;
  return html`
    <li class=${`card worker ${health}`}>
      <div class="worker-head">
        <h3>${expert}</h3>
        <span class=${`state ${health}`}>${state}</span>
      </div>
      <p class="hint">${place.filter(Boolean).join(" · ")}</p>
      ${error && html`<p class="error">${error}</p>`} ${figures}
    </li>
  `;
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
    ["Blocks", rate === undefined ? "–" : `${Number(rate.toPrecision(3))} / s`],
    ["Waiting calls", worker.queue_depth],
    ["Sessions", `${worker.sessions} of ${worker.max_sessions}`],
    ["Memory", bytes(worker.resident_bytes)],
    ["Up", duration(worker.uptime_seconds)],
    ["Model", shortHash(worker.model_hash)],
    ["Version", worker.versions.tutti],
  ];
}
