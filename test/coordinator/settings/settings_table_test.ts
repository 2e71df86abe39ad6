import assert from "node:assert/strict";
import { Command } from "commander";
import { addJobOptions } from "../../../coordinator/cli/job_options.ts";
import { readSettings } from "../../../coordinator/cluster/ensemble_defaults.ts";
import { TomlFields } from "../../../shared/toml/toml_fields.ts";
import { chooseSettings } from "../../../coordinator/settings/choose_settings.ts";
import { setting, type SettingValues } from "../../../coordinator/settings/setting.ts";
import {
  settingsFromFields,
  settingsMetadata,
  settingsToFields,
} from "../../../coordinator/settings/setting_records.ts";
import { JOB_SETTINGS } from "../../../coordinator/settings/settings.ts";
import type { ValueType } from "../../../coordinator/settings/value_type.ts";
import { oneOf } from "../../../coordinator/settings/value_types.ts";

/** A kind of values with a form of its own: `warm:0.3`. */
const TINT: ValueType<string> = {
  expected: "a tint as warm:0.3",
  read: (value) =>
    typeof value === "string" && /^(warm|cold):0\.\d$/.test(value) ? value : undefined,
  fromText: (text) => text.trim(),
  explain: () => ({ expected: "a tint as warm:0.3", hint: " (warm or cold)" }),
};

/** The table with two rows that no table has. */
const TABLE = {
  ...JOB_SETTINGS,
  brushKind: setting(oneOf(["round", "flat"]), {
    default: "round",
    argument: "<kind>",
    help: "what paints",
    group: "Method",
    aliases: ["brush"],
  }),
  tint: setting(TINT, { argument: "<tint>", help: "what is over all", group: "Method" }),
};
type Values = SettingValues<typeof TABLE>;

const refuse = ({ field, expected, value }: { field: string; expected: string; value: unknown }) =>
  new Error(`${field} must be ${expected}: current value is ${value}`);

/** What a command of these settings reads from its command line. */
async function parse(...args: string[]): Promise<Partial<Values>> {
  let flags: Partial<Values> = {};
  const command = addJobOptions(new Command("paint").exitOverride(), TABLE)
    .configureOutput({ writeErr: () => {} })
    .action((given: Partial<Values>) => void (flags = given));
  await command.parseAsync(args, { from: "user" });
  return flags;
}

Deno.test("a new row is a flag with aliases, and its own parser reads it", async () => {
  const { brushKind, tint } = await parse("--brush-kind", "flat", "--tint", " cold:0.5");
  assert.deepEqual([brushKind, tint], ["flat", "cold:0.5"]);
  assert.equal((await parse("--brush", "flat")).brushKind, "flat");
  assert.equal((await parse("--brush", "flat", "--brush-kind", "flat")).brushKind, "flat");
  assert.equal((await parse()).brushKind, undefined, "what was not given stays open");
  await assert.rejects(parse("--brush", "flat", "--brush-kind", "round"), {
    name: "UsageError",
    message:
      "--brush-kind and --brush are the same setting with different values: give one of them",
  });
  await assert.rejects(parse("--brush", "flt"), {
    message: '--brush must be one of round, flat: current value is "flt" (did you mean "flat"?)',
  });
  await assert.rejects(parse("--tint", "grey"), {
    message: '--tint must be a tint as warm:0.3: current value is "grey" (warm or cold)',
  });
});

Deno.test("a new row is in the help, and its aliases are not", () => {
  const help = addJobOptions(new Command("paint"), TABLE).helpInformation();
  assert.match(
    help,
    /^Method:\n(?: .*\n)* {2}--brush-kind <kind> +what paints \(default: round\)$/m,
  );
  assert.match(help, /^ {2}--tint <tint> +what is over all$/m);
  assert.doesNotMatch(help, /--brush |--cfg/);
});

Deno.test("a new row is a key of a file, and a flag wins over it", () => {
  const read = (table: Record<string, unknown>) =>
    readSettings(TABLE, new TomlFields("a.toml", "defaults", table));
  const values = read({ brush_kind: "flat", tint: "warm:0.1", steps: 30 });
  assert.deepEqual(values, { brushKind: "flat", tint: "warm:0.1", steps: 30 });
  assert.throws(() => read({ brush_kind: "oval" }), {
    name: "FormatError",
    message: 'a.toml: "defaults.brush_kind" must be one of round, flat: current value is "oval"',
  });
  assert.throws(() => read({ brush_kid: "flat" }), {
    message: /^a\.toml: "brush_kid" is no known key in defaults \(did you mean "brush_kind"\?\)/,
  });

  const { settings, origins } = chooseSettings(TABLE, {
    given: { tint: "cold:0.2" },
    files: [{ file: "a.toml", values }, { file: "b.toml", values: { steps: 9, guidance: 2 } }],
    usual: { guidance: 3, clipSkip: 2 },
  });
  const { brushKind, tint, steps, guidance, clipSkip, promptSyntax } = settings;
  assert.deepEqual([brushKind, tint, steps, guidance], ["flat", "cold:0.2", 30, 2]);
  assert.deepEqual([clipSkip, promptSyntax], [2, "a1111"]);
  assert.deepEqual(origins, {
    brushKind: { file: "a.toml", key: "defaults.brush_kind" },
    steps: { file: "a.toml", key: "defaults.steps" },
    guidance: { file: "b.toml", key: "defaults.guidance" },
  });
});

Deno.test("a new row is a field of job records, and records of before mean its default", () => {
  const { settings: usual } = chooseSettings(TABLE, { given: {} });
  assert.equal(usual.brushKind, "round");
  const old = settingsToFields(JOB_SETTINGS, usual);
  assert.deepEqual(settingsToFields(TABLE, usual), old);
  assert.deepEqual(settingsFromFields(TABLE, old, refuse), usual);

  const { settings: other } = chooseSettings(TABLE, {
    given: { brushKind: "flat", tint: "warm:0.3" },
  });
  const fields = settingsToFields(TABLE, other);
  assert.deepEqual(fields, { ...old, brushKind: "flat", tint: "warm:0.3" });
  assert.deepEqual(settingsFromFields(TABLE, JSON.parse(JSON.stringify(fields)), refuse), other);
  assert.throws(() => settingsFromFields(TABLE, { ...old, tint: 7 }, refuse), {
    message: "tint must be a tint as warm:0.3: current value is 7",
  });
  const { steps: _, ...damaged } = old;
  assert.throws(() => settingsFromFields(TABLE, damaged, refuse), { message: /^steps must be / });
});

Deno.test("a new row is in what pictures say about themselves", () => {
  const { settings } = chooseSettings(TABLE, { given: { tint: "warm:0.3", guidance: 2 } });
  const { brushKind, tint, guidanceScale, ...others } = settingsMetadata(TABLE, settings);
  assert.deepEqual([brushKind, tint, guidanceScale], ["round", "warm:0.3", 2]);
  assert.deepEqual(Object.keys(others), [
    "negativePrompt",
    "promptSyntax",
    "clipSkip",
    "steps",
    "wireDtype",
    "sampler",
  ]);
});
