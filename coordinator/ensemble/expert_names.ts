/** What experts are called where users name them and where pictures tell of them. @module */

import type { ConnectedExpert } from "./open_experts.ts";

/**
 * The names of an ensemble file, of flags or of models. Where an expert was given by its worker's address it is called as its
 * model is: pictures never tell addresses. Names that come twice are counted.
 */
export function expertNames(
  members: readonly Pick<ConnectedExpert, "name" | "expert">[],
): string[] {
  const names = members.map(({ name, expert }) =>
    name.includes(":") ? expert.description.name : name
  );
  return names.map((name, i) => {
    const twins = names.slice(0, i).filter((other) => other === name).length;
    return twins === 0 ? name : `${name}-${twins + 1}`;
  });
}
