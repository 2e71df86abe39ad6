/** Tells screen readers what changes elsewhere than where somebody is. @module */

import { useEffect, useState } from "preact/hooks";
import { html } from "./html.js";

const said = new EventTarget();

export function announce(text) {
  said.dispatchEvent(new CustomEvent("say", { detail: text }));
}

export function Announcer() {
  const [text, setText] = useState("");
  useEffect(() => {
    const hear = ({ detail }) => setText(detail);
    said.addEventListener("say", hear);
    return () => said.removeEventListener("say", hear);
  }, []);
  return html`<p class="unseen" role="status">${text}</p>`;
}
