/** JSON as people's editors save it. @module */

/**
 * Parses JSON that may begin with a byte order mark, which editors on Windows write and JSON does not have.
 *
 * @throws {SyntaxError} if the rest is no JSON
 */
export function parseJson(text: string): unknown {
  return JSON.parse(text.replace(/^\uFEFF/, ""));
}
