import assert from "node:assert/strict";
import { methodList, samplerList, sheetColumns } from "../../../coordinator/cli/sheet_columns.ts";
import { sheetText } from "../../../coordinator/cli/sheet_text.ts";
import { newJob } from "../../../coordinator/jobs/job_spec.ts";
import { METHODS } from "../../../coordinator/sampling/methods/methods.ts";
import { SAMPLERS } from "../../../coordinator/sampling/samplers/samplers.ts";

const EXPERTS = { experts: ["photo", "anime"], hasSabw: true };

Deno.test("methodList() tells a method's options from the next method", () => {
  const cases = [
    ["afa", ["afa"]],
    ["average, afa", ["average", "afa"]],
    ["switch:photo=0,anime=0.4,average", ["switch:photo=0,anime=0.4", "average"]],
    ["only:photo,only:anime", ["only:photo", "only:anime"]],
    ["weights:photo=0.7,anime=0.3,weights:photo=1", [
      "weights:photo=0.7,anime=0.3",
      "weights:photo=1",
    ]],
    ["autoguidance:good=photo,bad=anime:0.5,afa", ["autoguidance:good=photo,bad=anime:0.5", "afa"]],
    ["all", "all"],
  ] as const;
  for (const [text, methods] of cases) assert.deepEqual(methodList(text), methods, text);
  const wrong = [
    ["averge", /must be one of .*"averge" \(did you mean "average"\?\)/],
    ["average,photo=1", /must be one of .*"photo=1"/],
    ["average,,afa", /must be one of .*current value is ""/],
    ["afa,average,afa", /^UsageError: --methods must name each column once: "afa" comes twice/],
  ] as const;
  for (const [text, message] of wrong) assert.throws(() => methodList(text), message);
});

Deno.test("samplerList() takes any of a sampler's names", () => {
  assert.deepEqual(samplerList("ddim, DPM++ 2M Karras"), ["ddim", "dpmpp_2m_karras"]);
  assert.equal(samplerList("all"), "all");
  assert.throws(() => samplerList("ddim,eular"), /"eular" \(did you mean "euler"\?\)/);
  assert.throws(() => samplerList("ddim,DDIM"), /--samplers must name each column once: "ddim"/);
});

Deno.test("columns are experts, methods, samplers, or pairs of the two", () => {
  const titles = (...args: Parameters<typeof sheetColumns>) =>
    sheetColumns(...args).map(({ title }) => title);
  const own = ["photo alone", "anime alone", "averaging"];
  assert.deepEqual(titles({}, EXPERTS), [...own, "AFA"]);
  assert.deepEqual(titles({}, { ...EXPERTS, hasSabw: false }), own);
  const pairs = sheetColumns({ methods: ["afa", "average"], samplers: ["ddim", "euler"] }, EXPERTS);
  assert.deepEqual(pairs.map(({ title, settings }) => [title, settings]), [
    ["afa, DDIM", { method: "afa", sampler: "ddim" }],
    ["afa, Euler", { method: "afa", sampler: "euler" }],
    ["average, DDIM", { method: "average", sampler: "ddim" }],
    ["average, Euler", { method: "average", sampler: "euler" }],
  ]);
  assert.deepEqual(titles({ samplers: ["dpmpp_2m_karras"] }, EXPERTS), ["DPM++ 2M Karras"]);
});

Deno.test('"all" walks the tables, with the options that a method needs', () => {
  const methods = sheetColumns({ methods: "all" }, EXPERTS);
  assert.equal(methods.length, METHODS.length);
  assert.ok(methods.every(({ isOptional }) => isOptional));
  assert.ok(methods.some(({ settings }) => settings.method === "only:photo"));
  const samplers = sheetColumns({ samplers: "all" }, EXPERTS);
  assert.deepEqual(samplers.map(({ title }) => title), SAMPLERS.map(({ label }) => label));
});

Deno.test("a sheet says below what all rows have in common, and beside a prompt what only it has", () => {
  const job = (prompt: string, seed: bigint, settings = {}) =>
    newJob({ prompt, seeds: [seed], ensemble: "x" }, { sampler: "euler", steps: 25, ...settings });
  const rows = [job("a", 1n), job("b", 1n, { guidance: 3 })];
  const byMethod = sheetColumns({ methods: ["afa"] }, EXPERTS);
  assert.deepEqual(sheetText(rows, byMethod), {
    titles: ["a (guidance 7.5)", "b (guidance 3)"],
    footer: "seed 1, Euler, 25 steps",
  });
  const bySampler = sheetColumns({ samplers: ["ddim"] }, EXPERTS);
  assert.deepEqual(sheetText([job("a", 7n, { method: "average" })], bySampler), {
    titles: ["a"],
    footer: "seed 7, 25 steps, guidance 7.5, average",
  });
});
