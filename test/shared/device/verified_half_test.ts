import assert from "node:assert/strict";
import { verifiedDevice } from "../../../shared/device/backend.ts";
import {
  forgetVerified,
  isVerified,
  rememberVerified,
} from "../../../shared/device/verified_half.ts";
import { tempFolder } from "../../support/temp_folder.ts";

Deno.test("a pass of verify in f16 holds for its device, runtime and adapter, until it fails there", async () => {
  await using state = await tempFolder();
  const former = Deno.env.get("XDG_STATE_HOME");
  Deno.env.set("XDG_STATE_HOME", state.path);
  try {
    const report = { runtime: "1.30.0", f32: { maxFusedHeadDim: 0 } };
    const gpu = verifiedDevice("cuda:1", { device: "cuda:1", ...report });
    assert.equal(await isVerified(gpu), false);
    await forgetVerified(gpu);
    await rememberVerified(gpu);
    assert.equal(await isVerified(gpu), true);
    for (
      const other of [{ device: "cuda:0" }, { runtime: "1.31.0" }, { adapter: "Card" }] as const
    ) {
      assert.equal(await isVerified({ ...gpu, ...other }), false);
    }
    await forgetVerified(gpu);
    assert.equal(await isVerified(gpu), false);
  } finally {
    if (former === undefined) Deno.env.delete("XDG_STATE_HOME");
    else Deno.env.set("XDG_STATE_HOME", former);
  }
});
