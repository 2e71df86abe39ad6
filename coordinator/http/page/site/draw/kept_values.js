/** What is in the form survives a reload, and another view may fill it. @module */

import { NO_START } from "./start_field.js";

const KEY = "tutti.draw";

export function keptValues() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? undefined;
  } catch {
    return undefined;
  }
}

export function forgetValues() {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // There is nothing then.
  }
}

export function keepValues(values) {
  try {
    // Pictures are too large for this.
    localStorage.setItem(KEY, JSON.stringify({ ...values, ...NO_START }));
  } catch {
    // A browser that keeps nothing still draws.
  }
}
