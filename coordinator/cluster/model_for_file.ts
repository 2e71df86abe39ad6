/** A model that was named where an ensemble file, or the name of a worker's model, is meant. @module */

const MODEL_ENDING = /\.(safetensors|ckpt|pt|pth|bin)$/i;

export function isModelFile(name: string): boolean {
  return MODEL_ENDING.test(name);
}

/** What to do with it; `undefined` for what may be an ensemble file. */
export async function modelForFile(path: string): Promise<string | undefined> {
  const isModel = isModelFile(path) ||
    await Deno.stat(path).then(({ isDirectory }) => isDirectory, () => false);
  return isModel ? howToName(path) : undefined;
}

/** How an ensemble is made of a model. */
export function howToName(model: string): string {
  const quoted = JSON.stringify(model);
  return `${quoted} is a model. An ensemble file names models: write name = "castles", vae = ${quoted} and, for each model, ` +
    `[[experts]] with name = "photo" and model = ${quoted} into castles.toml, a line each, and give --ensemble castles.toml`;
}
