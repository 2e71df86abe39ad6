/** A server's runtime with a bundled expert in this process. @module */

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
 * Tests that share an ensemble, which takes seconds to open: steps of one test, which closes it. Within a step its lanes come
 * and go; that nothing is left of them is checked after the last.
 */
export function zooTests(
  name: string,
  tests: Readonly<Record<string, (zoo: Ensemble) => Promise<void>>>,
): void {
  Deno.test(name, async (t) => {
    const { experts, ...plan } = await ensemblePlan({});
    // One of them: what it is that draws is nothing to these tests, and the others take as long again each.
    const single = { ...plan, experts: experts.slice(0, 1), sabw: { kind: "uniform" } as const };
    await using zoo = await openEnsemble(single, { isLocal: true });
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
