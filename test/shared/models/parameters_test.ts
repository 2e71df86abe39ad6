import assert from "node:assert/strict";
import { SD15_TEXT, SD15_UNET } from "../../../shared/models/config/known_configs.ts";
import {
  parameterCount,
  textParameters,
  unetParameters,
} from "../../../shared/models/parameters.ts";
import { Weights } from "../../../shared/models/weights.ts";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { readKeyTable, weightTable } from "./key_tables.ts";

Deno.test("Weights.demanded lists what graphs asked for, whether it is there or not", () => {
  const weights = Weights.of(weightTable([["down.0.weight", [4, 2]], ["unused", [1]]]));
  const g = new GraphBuilder("g");
  const scope = weights.scope("down", 0);
  scope.tensor(g, "weight", [4, 2]);
  scope.tensor(g, "bias", [4], { shape: [4, 1, 1] });
  scope.tensor(g, "weight", [4, 2]);
  assert.deepEqual([...weights.demanded], [["down.0.weight", [4, 2]], ["down.0.bias", [4]]]);
});

Deno.test("unetParameters() are the published keys and shapes", async () => {
  const rows = await readKeyTable("sd15_unet");
  const expected = rows.map(({ diffusersKey, shape }) => `${diffusersKey} ${shape}`).sort();
  const actual = [...unetParameters(SD15_UNET)].map(([key, shape]) => `${key} ${shape}`).sort();
  assert.deepEqual(actual, expected);
});

Deno.test("textParameters() have the projection only where there is one", () => {
  const config = { ...SD15_TEXT, projectionDim: 512 };
  const [plain, projected] = [textParameters(config, false), textParameters(config, true)];
  assert.equal(plain.has("text_projection.weight"), false);
  assert.deepEqual(projected.get("text_projection.weight"), [512, 768]);
  const count = (shapes: typeof plain) => parameterCount(shapes.values());
  assert.equal(count(projected) - count(plain), 512 * 768);
});
