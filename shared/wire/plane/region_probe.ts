/**
 * The first page of a shared region: both ends try there whether they really have the memory in common, before a tensor
 * depends on it. The server writes 16 bytes, the client writes their inverse behind them.
 *
 * @module
 */

/** The session's arena follows the page. */
export const ARENA_START = 4096;

const LENGTH = 16;

export function writeQuestion(region: ArrayBuffer, question: Uint8Array): void {
  new Uint8Array(region).set(question);
}

/** @returns false if the region does not hold the question: then it is another region */
export function answerQuestion(region: ArrayBuffer, question: Uint8Array): boolean {
  const bytes = new Uint8Array(region);
  if (question.some((byte, i) => bytes[i] !== byte)) return false;
  bytes.set(question.map((byte) => ~byte), LENGTH);
  return true;
}

export function hasAnswered(region: ArrayBuffer, question: Uint8Array): boolean {
  const bytes = new Uint8Array(region);
  return question.every((byte, i) => bytes[LENGTH + i] === (~byte & 0xff));
}
