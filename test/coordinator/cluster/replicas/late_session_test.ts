import assert from "node:assert/strict";
import type { ReplicaEvent } from "../../../../coordinator/cluster/replicas/replica_events.ts";
import { StaticReplicas } from "../../../../coordinator/cluster/replicas/replica_directory.ts";
import { connectReplicas } from "../../../../coordinator/ensemble/connect_replicas.ts";
import { createMethod } from "../../../../coordinator/sampling/methods/methods.ts";
import type { Expert } from "../../../../shared/engine/expert.ts";
import { bitEqual } from "../../../../shared/tensor/compare.ts";
import { AffineExpert } from "../../../support/affine_expert.ts";
import { serveExpert } from "../../../support/serve_expert.ts";
import { ddim, run, SMALL_PICTURE, smallRequest } from "../../sampling/small_run.ts";

const WORDS = {
  promptIds: [[98, 5, 17, 99, 99, 99, 99]],
  negativePromptIds: [[98, 99, 99, 99, 99, 99, 99]],
};
const LATE = { gains: { IN05: 0.5, OUT03: 1.5 } };
/** Shorter than the first expert's part, which waits until it is over. */
const IDLE_SECONDS = 0.2;

function request(experts: readonly Expert[], waves: number) {
  const { blocks } = experts[0]!.description;
  const method = createMethod("switch:first=0,late=0.5", {
    experts: ["first", "late"],
    blocks,
    guidanceScale: 5,
    sampler: { name: "ddim" },
    picture: SMALL_PICTURE,
  });
  return smallRequest(experts, WORDS, { method, sampler: ddim(4), waves });
}

/** Counts the sessions of an expert. @param count how many must be closed before `allClosed` settles */
function watched(expert: AffineExpert, count: number) {
  const { promise: allClosed, resolve } = Promise.withResolvers<void>();
  const open = expert.openSession.bind(expert);
  const seen = { expert, allClosed, opened: 0, closed: 0 };
  expert.openSession = async (config) => {
    seen.opened++;
    const session = await open(config);
    return {
      ...session,
      close: async () => {
        await session.close();
        if (++seen.closed === count) resolve();
      },
    };
  };
  return seen;
}

for (const waves of [1, 2]) {
  Deno.test(`an expert that a switch asks late gets a new session when its worker has ended the first (waves: ${waves})`, async () => {
    const whole = await run(request([new AffineExpert(), new AffineExpert(LATE)], waves));
    const late = watched(new AffineExpert(LATE), waves);
    const first = new AffineExpert({ beforeBlock: () => late.allClosed });
    await using served = await serveExpert(late.expert, {
      limits: { idleLimitSeconds: IDLE_SECONDS },
    });
    const { address } = served.worker;
    const events: ReplicaEvent[] = [];
    await using replicated = await connectReplicas(
      { name: "late", directory: new StaticReplicas([address]) },
      { replicas: { onEvent: (event) => events.push(event) } },
    );
    const latents = await run(request([first, replicated.expert], waves));
    assert.ok(bitEqual(latents.data, whole.data));
    // On a busy machine the limit may pass again, between two steps.
    assert.ok(late.opened >= 2 * waves, `${late.opened}`);
    const reopened = events.filter((event) => event.kind === "failover");
    assert.ok(reopened.length >= waves, `${reopened.length}`);
    for (const { reason, from, worker } of reopened) {
      assert.deepEqual([reason, from, worker], ["deadline", address, address]);
    }
  });
}
