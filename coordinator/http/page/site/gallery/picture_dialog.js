/** One picture, large, with all that is known of it. @module */

import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "../api/request.js";
import { goTo } from "../app/route.js";
import { html } from "../parts/html.js";
import { PictureFrame } from "../job/picture_frame.js";
import { PICTURE_PANELS } from "./picture_panels.js";

/** @param known the picture and its job, where the gallery has them already */
export function PictureDialog({ id, catalog, known, onStep, hasBefore, hasAfter, onDeleted }) {
  const dialog = useRef();
  const { job, output, error } = usePicture(id, known);
  useEffect(() => {
    dialog.current.showModal();
    // Of the gallery behind, nothing moves.
    document.documentElement.classList.add("still");
    return () => document.documentElement.classList.remove("still");
  }, []);
  const close = () => goTo("gallery");
  const steer = (event) => {
    if (event.target.closest("input, select, textarea")) return;
    if (event.key === "ArrowLeft") onStep(-1);
    if (event.key === "ArrowRight") onStep(1);
  };
  const closeOutside = (event) => event.target === dialog.current && close();
  return html`
    <dialog ref=${dialog} class="picture" aria-label="Picture" onClose=${close}
      onKeyDown=${steer}
      onClick=${closeOutside}>
        <div class="picture-bar">
          <div class="actions">
            <button class="quiet" disabled=${!hasBefore} onClick=${() =>
              onStep(-1)}>← Newer</button>
            <button class="quiet" disabled=${!hasAfter} onClick=${() => onStep(1)}>Older →</button>
          </div>
          <button class="quiet" onClick=${close} autofocus>Close</button>
        </div>
        ${error && html`<p class="error" role="alert">${error.message}</p>`}
        ${output && html`
          <div class="picture-body">
            <${PictureFrame} output=${output} alt=${`${
              job.prompt || "Without a prompt"
            }, seed ${output.seed}`} />
            <div class="panels">
                  ${PICTURE_PANELS.map(({ name, Panel }) =>
                    html`
                      <${Panel} key=${name} job=${job} output=${output} catalog=${catalog}
                        onDeleted=${(deleted) => {
                          onDeleted(deleted);
                          close();
                        }} />
                    `
                  )}
                </div>
          </div>
        `}
      </dialog>
  `;
}

/** A picture's job is named in its id. */
function usePicture(id, known) {
  const [found, setFound] = useState({});
  useEffect(() => {
    if (known) return;
    ask(`GET /api/v1/jobs/${id.split(".")[0]}`).then(
      (job) => setFound({ job, output: job.outputs.find((output) => output.id === id) }),
      (error) => setFound({ error }),
    );
  }, [id]);
  return known ?? found;
}
