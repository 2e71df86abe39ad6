/** Draw: the form, and what becomes of it. @module */

import { useCallback, useState } from "preact/hooks";
import { ask } from "../api/request.js";
import { goTo } from "../app/route.js";
import { html } from "../parts/html.js";
import { DrawForm } from "./draw_form.js";
import { defaultsOf, jobBodies, reconciled } from "./form_values.js";
import { keepValues, keptValues } from "./kept_values.js";
import { Stage } from "./stage.js";

/** @param rest ids of the jobs that are on the stage: a reload goes on watching them */
export function DrawView({ catalog, rest }) {
  const [values, setValues] = useState(() => reconciled(keptValues(), catalog));
  const [problem, setProblem] = useState();
  const [isSending, setSending] = useState(false);
  const [given, setGiven] = useState([]);
  const change = useCallback((changes) =>
    setValues((before) => {
      const next = changed(before, changes, catalog);
      keepValues(next);
      return next;
    }), [catalog]);
  const draw = async () => {
    setProblem(undefined);
    setSending(true);
    const jobs = [];
    try {
      for (const body of jobBodies(values, catalog)) {
        jobs.push(await ask("POST /api/v1/jobs", body));
      }
    } catch (error) {
      setProblem(error);
    }
    setSending(false);
    if (jobs.length === 0) return;
    setGiven(jobs);
    goTo("draw", jobs.map(({ id }) => id).join(","));
  };
  return html`
    <h1 class="unseen">Draw</h1>
    <${DrawForm} catalog=${catalog} values=${values} onChange=${change} onDraw=${draw}
      isSending=${isSending} problem=${problem} />
    <${Stage} catalog=${catalog} ids=${rest === ""
      ? []
      : rest.split(",")} given=${given} onReuse=${change} />
  `;
}

/** Another ensemble has other sizes and methods; what is to be drawn stays. */
function changed(before, changes, catalog) {
  const { ensemble } = changes;
  if (ensemble === undefined || ensemble === before.ensemble || changes.prompt !== undefined) {
    return { ...before, ...changes };
  }
  const model = catalog.models.find(({ name }) => name === ensemble);
  const { prompt, negative, seed, batch } = before;
  return { ...defaultsOf(model, catalog), prompt, negative, seed, batch };
}
