/** The size of a job's pictures, before there are any. @module */

/** @returns width and height in pixels */
export function sizeOf({ outputs, settings, ensemble }, models) {
  if (outputs[0]) return outputs[0];
  const { size } = settings;
  if (size) return size;
  return models.find(({ name }) => name === ensemble)?.size ?? { width: 1, height: 1 };
}
