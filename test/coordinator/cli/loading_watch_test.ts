import assert from "node:assert/strict";
import { loadingText, watchLoading } from "../../../coordinator/cli/loading_watch.ts";
import { startWorkerServer } from "../../../worker/rpc/server.ts";
import { AffineExpert } from "../../support/affine_expert.ts";

const LOADING = { blocks: 6, allBlocks: 25, bytes: 1.2e9 };

/** An expert whose weights are on their way. */
class LoadingExpert extends AffineExpert {
  loading: typeof LOADING | undefined = LOADING;
}

Deno.test("loadingText() names the block that is loaded now, for each expert", () => {
  const loading = { blocks: 25, allBlocks: 25, bytes: 3.4e9 };
  assert.equal(
    loadingText([{ name: "photo", loading: LOADING }, { name: "ink", loading }]),
    "loading photo: block 7 of 25, 1.2 GB; ink: block 25 of 25, 3.4 GB",
  );
});

Deno.test("watchLoading() tells what workers say of their loading, and that time passes without it", async () => {
  const expert = new LoadingExpert();
  await using worker = await startWorkerServer({ expert, listen: "127.0.0.1:0" });
  await worker.ready;
  assert.deepEqual(worker.status().loading, LOADING);
  const members = [
    { name: "photo", address: worker.address },
    { name: "away", address: "127.0.0.1:1" },
    { name: "here" },
  ];
  let heard = Promise.withResolvers<string | undefined>();
  using watch = watchLoading(members, (text) => heard.resolve(text));
  const next = async () => {
    heard = Promise.withResolvers();
    return await heard.promise;
  };
  while (await next() === undefined);
  assert.equal(await next(), "loading photo: block 7 of 25, 1.2 GB");
  watch.over();
  assert.equal(await next(), undefined);
});
