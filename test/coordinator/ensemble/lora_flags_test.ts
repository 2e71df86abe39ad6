import assert from "node:assert/strict";
import { resolve } from "node:path";
import { collectExpertLora, withLoras } from "../../../coordinator/ensemble/lora_flags.ts";
import { UsageError } from "../../../shared/errors.ts";

const EXPERTS = [
  { name: "round", model: "/models/round" },
  {
    name: "square",
    model: "/models/square",
    loras: [
      { path: resolve("ink"), weight: 1 },
      { path: resolve("glow"), weight: 0.5 },
    ],
  },
];
const flags = (...texts: string[]) =>
  texts.reduce((earlier, text) => collectExpertLora(text, earlier), collectNothing());
const collectNothing = (): ReturnType<typeof collectExpertLora> => [];

Deno.test("collectExpertLora() reads EXPERT=FILE:WEIGHT, several times, with absolute paths", () => {
  assert.deepEqual(flags("round=ink:0.8", "gpu-1:7070=/a=b/glow"), [
    { expert: "round", lora: { path: resolve("ink"), weight: 0.8 } },
    { expert: "gpu-1:7070", lora: { path: "/a=b/glow", weight: 1 } },
  ]);
});

Deno.test("collectExpertLora() refuses another form, with the value", () => {
  for (const text of ["ink:0.8", "=ink:0.8", "round=", "round=ink:strong", ""]) {
    assert.throws(() => collectExpertLora(text), {
      name: UsageError.name,
      message:
        `--lora must be EXPERT=FILE:WEIGHT with a finite number as weight, as photo=ink.safetensors:0.8: current value is "${text}"`,
    });
  }
});

Deno.test("withLoras() adds to what the ensemble file names, and replaces the weight of the same file", () => {
  const added = withLoras(EXPERTS, flags("square=ink:0.25", "square=new", "round=new:2"));
  assert.deepEqual(added, [
    { ...EXPERTS[0], loras: [{ path: resolve("new"), weight: 2 }] },
    {
      ...EXPERTS[1],
      loras: [
        { path: resolve("glow"), weight: 0.5 },
        { path: resolve("ink"), weight: 0.25 },
        { path: resolve("new"), weight: 1 },
      ],
    },
  ]);
  assert.deepEqual(withLoras(EXPERTS, []), EXPERTS);
});

Deno.test("withLoras() refuses names that no expert has, and a file twice", () => {
  assert.throws(() => withLoras(EXPERTS, flags("sqare=ink")), {
    name: UsageError.name,
    message:
      '--lora must name an expert (round, square): current name is "sqare" (did you mean "square"?)',
  });
  assert.throws(() => withLoras(EXPERTS, flags("round=ink:1", "round=./ink:0.5")), {
    name: UsageError.name,
    message: `--lora must name a file once for "round": "${resolve("ink")}" comes twice`,
  });
  // The same file for two experts is what one may want.
  assert.equal(withLoras(EXPERTS, flags("round=ink:1", "square=ink:1")).length, 2);
});
