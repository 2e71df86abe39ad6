/** Draw: the form, and what becomes of it. @module */

import { useCallback, useEffect, useState } from "preact/hooks";
import { ask } from "../api/request.js";
import { goTo } from "../app/route.js";
import { html } from "../parts/html.js";
import { DrawForm } from "./draw_form.js";
import { reconciled } from "./form_values.js";
import { jobBodies } from "./job_bodies.js";
import { keepValues, keptValues } from "./kept_values.js";
import { Stage } from "./stage.js";

/**
 * @param rest ids of the jobs that are on the stage, so that a reload goes on watching them; then the id of the picture that
 * is open
 */
export function DrawView({ catalog, rest }) {
  const [values, setValues] = useState(() => reconciled(keptValues(), catalog));
  const [problem, setProblem] = useState();
  const [isSending, setSending] = useState(false);
  const [given, setGiven] = useState([]);
  useEffect(() => keepValues(values), [values]);
  const change = useCallback((changes) => setValues((before) => ({ ...before, ...changes })), []);
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
  const [list, picture] = rest.split("/");
  const ids = list === "" ? [] : list.split(",");
  return html`
    <h1 class="unseen">Draw</h1>
    <${DrawForm} ...${{ catalog, values, isSending, problem }} onChange=${change} onDraw=${draw} />
    <${Stage} ...${{ catalog, ids, picture, given }} onReuse=${change} />
  `;
}
