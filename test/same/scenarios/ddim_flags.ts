/** The flags with which any version draws by DDIM: what versions take without a flag differs. @module */

import type { TuttiHome } from "../../support/run_tutti.ts";

const GUIDANCE = ["--guidance", "7.5"];

/** Programs from before there were samplers draw by DDIM alone. */
export async function ddimFlags(home: TuttiHome): Promise<readonly string[]> {
  const { stdout } = await home.expect(0, ["sample", "--help"]);
  return stdout.includes("--sampler") ? ["--sampler", "ddim", ...GUIDANCE] : GUIDANCE;
}

/** Of every run that draws with few steps. */
export async function fewSteps(home: TuttiHome): Promise<readonly string[]> {
  return [...await ddimFlags(home), "--steps", "4", "--seed", "7"];
}
