/** Telling a person nothing twice. @module */

/** What is said of the models is said of each of their pictures, and of each step. */
export function onceEach(tell: (text: string) => void): (text: string) => void {
  const told = new Set<string>();
  return (text) => {
    if (!told.has(text)) tell(text);
    told.add(text);
  };
}
