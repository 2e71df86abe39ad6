/**
 * What `JSON.parse` does not tell of a text: how many values it has, before they take memory, and a key that an object names
 * twice. It keeps the last one without a word, so two readers could see two different tensors behind one name.
 *
 * @module
 */

const QUOTE = 0x22, BACKSLASH = 0x5c, COLON = 0x3a, OPEN = 0x7b, CLOSE = 0x7d;
const COMMA = 0x2c, OPEN_LIST = 0x5b;

/**
 * The first key that appears twice in one object, at any depth.
 *
 * @param json text that `JSON.parse` has accepted
 */
export function duplicateKey(json: string): string | undefined {
  const objects: Set<string>[] = [];
  // A scanner by hand: a regular expression over strings of this length exhausts the engine's stack.
  for (let i = 0; i < json.length; i++) {
    const char = json.charCodeAt(i);
    if (char === OPEN) objects.push(new Set());
    else if (char === CLOSE) objects.pop();
    else if (char === QUOTE) {
      const start = i++;
      while (json.charCodeAt(i) !== QUOTE) i += json.charCodeAt(i) === BACKSLASH ? 2 : 1;
      if (!isKey(json, i + 1)) continue;
      const key: string = JSON.parse(json.slice(start, i + 1));
      const keys = objects.at(-1)!;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

/** Whether the string that ends before `index` is followed by a colon, as keys are. */
function isKey(json: string, index: number): boolean {
  while (" \t\n\r".includes(json.charAt(index)) && index < json.length) index++;
  return json.charCodeAt(index) === COLON;
}

/** Commas and opening brackets outside strings: about as many as the values that `JSON.parse` would make. @param json any text */
export function valueCount(json: string): number {
  let count = 0;
  for (let i = 0; i < json.length; i++) {
    const char = json.charCodeAt(i);
    if (char === COMMA || char === OPEN || char === OPEN_LIST) count++;
    else if (char === QUOTE) {
      while (++i < json.length && json.charCodeAt(i) !== QUOTE) {
        if (json.charCodeAt(i) === BACKSLASH) i++;
      }
    }
  }
  return count;
}
