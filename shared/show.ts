/**
 * How error messages print a value that came out of a file: quoted, on one line, and short, however
 * long or deeply nested the value is.
 *
 * @module
 */

const MAX_TEXT = 200;
const MAX_ITEMS = 16;

/** A short printable form: strings quoted with control characters escaped, lists cut, objects named. */
export function show(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > MAX_TEXT ? value.slice(0, MAX_TEXT) + "…" : value);
  }
  if (Array.isArray(value)) {
    // One level only: a hostile header can nest deeper than recursion reaches.
    const items = value.slice(0, MAX_ITEMS).map((item) => Array.isArray(item) ? "[…]" : show(item));
    return `[${items.join(", ")}${value.length > MAX_ITEMS ? ", …" : ""}]`;
  }
  if (typeof value === "object" && value !== null) return "an object";
  return Object.is(value, -0) ? "-0" : String(value);
}
