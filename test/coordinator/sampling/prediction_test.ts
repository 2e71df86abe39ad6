import { epsilonAndDenoised } from "../../../coordinator/sampling/prediction.ts";
import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { assertClose } from "../../support/goldens.ts";

Deno.test("epsilonAndDenoised() undoes x_t = sqrt(a) x_0 + sqrt(1 - a) epsilon, from noise and from velocity", () => {
  const [clean, noise] = [randomTensor([2, 3], 1), randomTensor([2, 3], 2)];
  for (const alphaBar of [0.99915, 0.5, 0.0046601]) {
    const [signal, sigma] = [Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar)];
    const latents = lincomb([[signal, clean], [sigma, noise]]);
    const velocity = lincomb([[signal, noise], [-sigma, clean]]);
    for (const [type, output] of [["epsilon", noise], ["v_prediction", velocity]] as const) {
      const { epsilon, denoised } = epsilonAndDenoised(output, latents, alphaBar, type);
      assertClose(`epsilon from ${type} at ${alphaBar}`, epsilon, noise, 1e-5);
      assertClose(`x_0 from ${type} at ${alphaBar}`, denoised, clean, 1e-5);
    }
  }
});
