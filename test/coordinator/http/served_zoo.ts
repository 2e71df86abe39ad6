/** A server's runtime with the bundled experts in this process. @module */

import { type Ensemble, openEnsemble } from "../../../coordinator/ensemble/ensemble.ts";
import { ensemblePlan } from "../../../coordinator/ensemble/ensemble_plan.ts";
import { Patience } from "../../../coordinator/cluster/admission_retry.ts";
import { JobRuntime } from "../../../coordinator/http/runtime/job_runtime.ts";
import {
  type ServedEnsemble,
  ServedEnsembles,
} from "../../../coordinator/http/runtime/served_ensembles.ts";
import { PictureFolder } from "../../../coordinator/http/store/picture_folder.ts";
import { SqliteStore } from "../../../coordinator/http/store/sqlite_store.ts";
import { join } from "node:path";

export interface OpenRuntimeOptions {
  readonly queueLimit?: number;
  /** Beside the bundled one. */
  readonly others?: readonly ServedEnsemble[];
}

/**
 * Tests that share the experts, which take seconds to open: steps of one test, which closes them. Within a step their lanes come
 * and go; that nothing is left of them is checked after the last.
 */
export function zooTests(
  name: string,
  tests: Readonly<Record<string, (zoo: Ensemble) => Promise<void>>>,
): void {
  Deno.test(name, async (t) => {
    await using zoo = await openEnsemble(await ensemblePlan({}), { isLocal: true });
    for (const [name, test] of Object.entries(tests)) {
      await t.step({ name, fn: () => test(zoo), sanitizeOps: false, sanitizeResources: false });
    }
  });
}

/** @param folder in which it finds what an earlier one has left */
export async function openRuntime(
  ensemble: Ensemble,
  folder: string,
  { queueLimit, others = [] }: OpenRuntimeOptions = {},
): Promise<JobRuntime> {
  const store = await SqliteStore.open(folder);
  const runtime = await JobRuntime.open({
    ensembles: new ServedEnsembles([{ ensemble }, ...others]),
    store,
    pictures: await PictureFolder.open(join(folder, "pictures")),
    patience: (signal) => new Patience({ waitMs: 0, signal }),
    warn: () => {},
    ...(queueLimit !== undefined && { queueLimit }),
  });
  const close = runtime[Symbol.asyncDispose].bind(runtime);
  return Object.assign(runtime, {
    [Symbol.asyncDispose]: async () => {
      await close();
      await store[Symbol.asyncDispose]();
    },
  });
}
