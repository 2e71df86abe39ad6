/** Elements as template literals: what JSX would be with a build step. @module */

import htm from "htm";
import { h } from "preact";

export const html = htm.bind(h);
