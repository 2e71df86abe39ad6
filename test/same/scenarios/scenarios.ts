/** Every scenario, in the order in which they are played: cheap ones first. @module */

import type { Scenario } from "../scenario.ts";
import { COORDINATOR_KILLED } from "./coordinator_killed.ts";
import { LORA } from "./lora.ts";
import { PICTURES } from "./pictures.ts";
import { REPLICA_KILLED } from "./replica_killed.ts";
import { SDXL } from "./sdxl.ts";
import { TRAINING } from "./training.ts";
import { VERIFY } from "./verify.ts";

export const SCENARIOS: readonly Scenario[] = [
  ...PICTURES,
  LORA,
  SDXL,
  REPLICA_KILLED,
  COORDINATOR_KILLED,
  TRAINING,
  VERIFY,
];
