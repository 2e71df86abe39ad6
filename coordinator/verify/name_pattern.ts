/** Names that fit patterns in which `*` stands for anything. @module */

/** @returns whether a name fits one of the patterns */
export function matcher(patterns: readonly string[]): (name: string) => boolean {
  const expressions = patterns.map((pattern) => {
    const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
    return new RegExp(`^${parts.join(".*")}$`);
  });
  return (name) => expressions.some((expression) => expression.test(name));
}
