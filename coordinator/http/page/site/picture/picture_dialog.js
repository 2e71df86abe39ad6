/** One picture, large, with all that is known of it. @module */

import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "../api/request.js";
import { PictureFrame } from "../job/picture_frame.js";
import { html } from "../parts/html.js";
import { PICTURE_PANELS } from "./picture_panels.js";

/**
 * @param id of the picture
 * @param pictures those among which arrow keys lead, each with its job
 * @param onOpen told the id of the picture to open instead
 * @param onUse told what the form is to hold
 * @param onDeleted told the id of the job whose pictures are gone
 */
export function PictureDialog({ id, pictures, catalog, onOpen, onClose, onUse, onDeleted }) {
  const dialog = useRef();
  const place = pictures.findIndex(({ output }) => output.id === id);
  const { job, output, error } = usePicture(id, pictures[place]);
  useEffect(() => {
    dialog.current.showModal();
    // Of what is behind it, nothing moves.
    document.documentElement.classList.add("still");
    return () => document.documentElement.classList.remove("still");
  }, []);
  const [before, after] = [pictures[place - 1], place >= 0 ? pictures[place + 1] : undefined];
  const open = (picture) => picture && onOpen(picture.output.id);
  const steer = (event) => {
    if (event.target.closest("input, select, textarea")) return;
    if (event.key === "ArrowLeft") open(before);
    if (event.key === "ArrowRight") open(after);
  };
  const closeOutside = (event) => event.target === dialog.current && onClose();
  const remove = (deleted) => {
    onClose();
    onDeleted(deleted);
  };
  const panels = PICTURE_PANELS.map(({ name, Panel }) =>
    html`
      <${Panel} key=${name} ...${{ job, output, catalog, onUse }} onDeleted=${remove} />
    `
  );
  const alt = `${job?.prompt || "Without a prompt"}, seed ${output?.seed}`;
  const body = () =>
    html`
      <div class="picture-body">
        <${PictureFrame} output=${output} alt=${alt} />
        <div class="panels">${panels}</div>
      </div>
    `;
  return html`
    <dialog ref=${dialog} class="picture" aria-label="Picture" onClose=${onClose}
      onKeyDown=${steer} onClick=${closeOutside}>
      <div class="picture-bar">
        <div class="actions">
          <button class="quiet" disabled=${!before} onClick=${() =>
            open(before)}>← Previous</button>
          <button class="quiet" disabled=${!after} onClick=${() => open(after)}>Next →</button>
        </div>
        <button class="quiet" onClick=${onClose} autofocus>Close</button>
      </div>
      ${error && html`<p class="error" role="alert">${error.message}</p>`} ${output && body()}
    </dialog>
  `;
}

/** One that is not among those that are known is asked for: its id begins with its job's. */
function usePicture(id, known) {
  const [found, setFound] = useState({});
  const isKnown = known !== undefined;
  useEffect(() => {
    if (isKnown) return;
    ask(`GET /api/v1/jobs/${id.split(".")[0]}`).then(
      (job) => setFound({ job, output: job.outputs.find((output) => output.id === id) }),
      (error) => setFound({ error }),
    );
  }, [id, isKnown]);
  return known ?? found;
}
