/** Trains a small zoo in the folder that is its argument and prints an event a line: a process for a test to kill. @module */

import { runRecipe } from "../../../../coordinator/zoo/recipes/run_recipe.ts";
import { printJson } from "../../../../shared/terminal/stdout.ts";
import { smallContext } from "./small_recipe.ts";

const [out] = Deno.args;
for await (const event of runRecipe(await smallContext(out!), ["vae", "base"])) {
  printJson(event);
}
