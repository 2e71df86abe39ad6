/** What stands beside an open picture, in this order: a row is all that another panel needs. @module */

import { ActionsPanel } from "./actions_panel.js";
import { FactsPanel } from "./facts_panel.js";

/** Each is given `job`, `output`, `catalog`, `onUse(values of the form)` and `onDeleted(job id)`. */
export const PICTURE_PANELS = [
  { name: "facts", Panel: FactsPanel },
  { name: "actions", Panel: ActionsPanel },
];
