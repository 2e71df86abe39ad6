/** Begins the page. @module */

import { render } from "preact";
import { App } from "./app/app.js";
import { html } from "./parts/html.js";

render(html`<${App} />`, document.getElementById("app"));
