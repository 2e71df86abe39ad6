import assert from "node:assert/strict";
import type { Command } from "commander";
import { sampleCommand } from "../../../coordinator/cli/sample.ts";
import { submitCommand } from "../../../coordinator/cli/submit.ts";
import { readSettings } from "../../../coordinator/cluster/ensemble_defaults.ts";
import { TomlFields } from "../../../shared/toml/toml_fields.ts";
import { type ImageFacts, imageMetadata } from "../../../coordinator/jobs/image_metadata.ts";
import { jobSpecFromJson, jobSpecToJson, newJob } from "../../../coordinator/jobs/job_spec.ts";
import { fileKeyOf, flagOf, type SettingsTable } from "../../../coordinator/settings/setting.ts";
import {
  type GivenSettings,
  JOB_SETTINGS,
  SETTINGS,
} from "../../../coordinator/settings/settings.ts";

/** A text of each setting that does not mean its default; a new setting needs one, so that it is tested. */
const TEXTS: Readonly<Record<keyof typeof SETTINGS, string>> = {
  negative: "blurry",
  promptSyntax: "plain",
  clipSkip: "2",
  steps: "30",
  guidance: "5.5",
  size: "768x512",
  waves: "3",
  wireDtype: "f16, OUT08=int8",
  sampler: "k_euler_a",
  schedule: "karras",
  eta: "0.5",
  churn: "20",
  sTmin: "0.05",
  sTmax: "10",
  sNoise: "1.003",
  guidanceRescale: "0.7",
  guidanceInterval: "0.2..0.8",
  method: "switch:photo=0,anime=0.5",
  aggregate: "IN04,M00",
  strength: "0.6",
  maskBlur: "2",
  seed: "18446744073709551615",
  batch: "4",
};

const TABLE: SettingsTable = SETTINGS;
const GIVEN = Object.fromEntries(
  Object.entries(TEXTS).map(([name, text]) => {
    const { type } = TABLE[name]!;
    return [name, type.read(type.fromText(text))];
  }),
) as GivenSettings;

/** How a file has a text's value. */
function inFile(name: string): unknown {
  const { fromText, inFile } = TABLE[name]!.type;
  const text = TEXTS[name as keyof typeof TEXTS];
  return inFile ? text : fromText(text);
}

Deno.test("every setting is a flag of sample and of submit, and its aliases are hidden ones", () => {
  for (const command of [sampleCommand(), submitCommand()]) {
    const find = (flag: string) => command.options.find(({ long }) => long === flag);
    for (const [name, { aliases = [], parts = [] }] of Object.entries(TABLE)) {
      assert.equal(find(flagOf(name))?.hidden, false, name);
      for (const other of [...aliases, ...parts]) assert.equal(find(`--${other}`)?.hidden, true);
    }
  }
});

/** Flags that had another name once. */
const OLD_NAMES = ["--wait"];

Deno.test("no flag is hidden that is no other spelling of a setting, or an old name", () => {
  const spellings = Object.values(TABLE).flatMap(({ aliases = [], parts = [] }) =>
    [...aliases, ...parts].map((name) => `--${name}`)
  );
  const hidden = ({ options }: Command) => options.filter(({ hidden }) => hidden);
  const sample = hidden(sampleCommand()).map(({ long }) => long);
  assert.deepEqual(sample.sort(), spellings.toSorted());
  const submit = hidden(submitCommand()).map(({ long }) => long);
  assert.deepEqual(submit.sort(), [...spellings, ...OLD_NAMES].sort());
});

Deno.test("every setting is a key of [defaults], with the value that its flag gives", () => {
  const table = Object.fromEntries(
    Object.keys(TABLE).map((name) => [fileKeyOf(name), inFile(name)]),
  );
  const values = readSettings(SETTINGS, new TomlFields("a.toml", "defaults", table));
  assert.deepEqual(values, GIVEN);
  for (const key of Object.keys(table)) {
    const fields = new TomlFields("a.toml", "defaults", { [key]: { wrong: true } });
    assert.throws(() => readSettings(SETTINGS, fields), {
      name: "FormatError",
      message: new RegExp(`^a\\.toml: "defaults\\.${key}" must be .*: current value is an object$`),
    });
  }
});

Deno.test("every setting of a job comes back from its record", () => {
  const subject = { prompt: "a castle", seeds: [7n], ensemble: "castles" };
  const usual = jobSpecToJson(newJob(subject));
  for (const name of Object.keys(JOB_SETTINGS)) {
    const value = GIVEN[name as keyof GivenSettings];
    const job = newJob(subject, { [name]: value });
    const json = jobSpecToJson(job);
    assert.deepEqual(json, { ...usual, [name]: value });
    assert.deepEqual(jobSpecFromJson(JSON.parse(JSON.stringify(json)), "Job"), job);
  }
});

Deno.test("every setting that a picture follows from is in its metadata", () => {
  const spec = newJob({ prompt: "a castle", seeds: [7n], ensemble: "castles" }, GIVEN);
  const facts: ImageFacts = {
    spec,
    seed: 7n,
    method: "afa",
    sabw: "equal",
    aggregatedBlocks: "noise",
    width: 768,
    height: 512,
    conditions: {},
  };
  const description = { modelHash: "0".repeat(64), loras: [] };
  const ensemble = {
    name: "castles",
    members: [{ name: "photo", expert: { description } }],
    vaeHash: "1".repeat(64),
  };
  const { tutti } = imageMetadata(
    ensemble as unknown as Parameters<typeof imageMetadata>[0],
    facts,
  );
  const said = JSON.parse(tutti!);
  for (
    const [name, { metadataKey = name }] of Object.entries<SettingsTable[string]>(JOB_SETTINGS)
  ) {
    if (metadataKey !== false) {
      assert.deepEqual(said[metadataKey], GIVEN[name as keyof GivenSettings], name);
    }
  }
  const { seed, aggregatedBlocks, width, height, prompt } = said;
  assert.deepEqual([seed, aggregatedBlocks, width, height, prompt], [
    "7",
    "noise",
    768,
    512,
    "a castle",
  ]);
});
