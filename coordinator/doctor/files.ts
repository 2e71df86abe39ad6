/** Folders that are written to, and data that must be found. @module */

import { join } from "node:path";
import { cacheFolder } from "../../shared/checkpoint/model_hash.ts";
import { BUNDLED_ENSEMBLE } from "../../shared/project_files.ts";
import { ClipTokenizer } from "../../shared/tokenizer/clip_tokenizer.ts";
import { loadEnsembleFile } from "../cluster/ensemble_file.ts";
import { stateFolder } from "../../shared/state_folder.ts";
import { absent, failed, type Finding, ok } from "./finding.ts";

/** Records and logs of workers that `up` starts. */
export function checkStateFolder(): Promise<Finding> {
  return checkFolder("state folder", stateFolder, "set XDG_STATE_HOME to a folder that is yours");
}

/** Hashes of weights; without it every start hashes them again. */
export function checkCacheFolder(): Promise<Finding> {
  const find = () => {
    const folder = cacheFolder();
    if (folder === undefined) throw new Error("HOME and XDG_CACHE_HOME are not set");
    return folder;
  };
  return checkFolder("cache folder", find, "set XDG_CACHE_HOME to a folder that is yours");
}

async function checkFolder(name: string, find: () => string, nextStep: string): Promise<Finding> {
  try {
    const folder = find();
    await Deno.mkdir(folder, { recursive: true });
    const file = join(folder, `doctor.${crypto.randomUUID()}`);
    await Deno.writeTextFile(file, "");
    await Deno.remove(file);
    return ok(name, folder);
  } catch (error) {
    return absent(name, (error as Error).message, nextStep);
  }
}

/** CLIP's, for models that bring none. The bundled experts bring theirs. */
export async function checkTokenizer(): Promise<Finding> {
  try {
    const { vocabSize } = await ClipTokenizer.load(undefined);
    return ok("tokenizer", `CLIP's own, ${vocabSize} tokens`);
  } catch (error) {
    return absent("tokenizer", "CLIP's own does not load", (error as Error).message);
  }
}

export async function checkBundledExperts(): Promise<Finding> {
  try {
    const { experts } = await loadEnsembleFile(BUNDLED_ENSEMBLE);
    return ok("bundled experts", experts.map(({ name }) => name).join(", "));
  } catch (error) {
    return failed("bundled experts", (error as Error).message, "clone the repository again");
  }
}
