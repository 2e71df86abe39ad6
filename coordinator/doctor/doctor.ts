/** What sampling needs, one finding after the other. @module */

import { checkEnsemble } from "./ensemble_memory.ts";
import {
  checkBundledExperts,
  checkCacheFolder,
  checkStateFolder,
  checkTokenizer,
} from "./files.ts";
import type { Finding } from "./finding.ts";
import { checkMemory, checkNativeCalls, checkPorts, checkProcessor } from "./machine.ts";
import { checkProviders } from "./providers.ts";
import { checkDeno, checkGrpc } from "./versions.ts";

/** @param ensemble file whose experts are to fit into memory, too */
export async function* examine(ensemble?: string): AsyncGenerator<Finding> {
  yield checkDeno();
  yield checkGrpc();
  yield checkNativeCalls();
  yield await checkProcessor();
  yield checkMemory();
  yield* checkProviders();
  yield await checkBundledExperts();
  yield await checkTokenizer();
  yield* checkPorts();
  yield await checkStateFolder();
  yield await checkCacheFolder();
  if (ensemble !== undefined) yield* checkEnsemble(ensemble);
}
