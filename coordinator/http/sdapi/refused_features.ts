/** What stable-diffusion-webui can do and Tutti cannot: asked for, it is refused, and never left out in silence. @module */

import { UsageError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import { dropForeignSyntax } from "../../../shared/prompt/foreign_syntax.ts";
import type { JsonObject } from "../server/request_body.ts";

interface Feature {
  readonly field: string;
  readonly what: string;
  /** Whether a value asks for it. What clients send for "no" differs. */
  isAsked(value: unknown): boolean;
}

const isOn = (value: unknown) => value !== undefined && value !== null && value !== false;
const isNamed = (value: unknown) => isOn(value) && !["", "None", "none"].includes(String(value));
const isPositive = (value: unknown) => isOn(value) && !(Number(value) <= 0);
const hasItems = (value: unknown) => isOn(value) && !(Array.isArray(value) && value.length === 0);

const FEATURES: readonly Feature[] = [
  { field: "enable_hr", what: "hires fix", isAsked: isOn },
  { field: "restore_faces", what: "face restoration", isAsked: isOn },
  { field: "tiling", what: "tiling", isAsked: isOn },
  { field: "styles", what: "prompt styles", isAsked: hasItems },
  { field: "subseed_strength", what: "variation seeds", isAsked: isPositive },
  { field: "seed_resize_from_w", what: "resized seeds", isAsked: isPositive },
  { field: "seed_resize_from_h", what: "resized seeds", isAsked: isPositive },
  { field: "s_min_uncond", what: "negative guidance minimum sigma", isAsked: isPositive },
  { field: "refiner_checkpoint", what: "a refiner", isAsked: isNamed },
  { field: "script_name", what: "scripts", isAsked: isNamed },
  { field: "alwayson_scripts", what: "scripts of extensions", isAsked: hasScripts },
  { field: "firstpass_image", what: "a picture to start from", isAsked: isNamed },
];

/** Entries without arguments ask for nothing. */
function hasScripts(value: unknown): boolean {
  if (!isOn(value)) return false;
  if (typeof value !== "object") return true;
  return Object.values(value as object).some((script) =>
    hasItems((script as { readonly args?: unknown } | null)?.args)
  );
}

/** @throws {UsageError} naming the field that asks for what there is not */
export function refuseFeatures(body: JsonObject): void {
  const asked = FEATURES.find(({ field, isAsked }) => isAsked(body[field]));
  if (!asked) return;
  const { field, what } = asked;
  throw new UsageError(
    `Tutti has no ${what}: "${field}" must be left out or off: current value is ${
      show(body[field])
    }`,
    { details: { field } },
  );
}

/** Refuses parts of the webui's prompt language that would else be dropped. @throws {UsageError} */
export function refuseSyntax(field: string, prompt: string): void {
  const [warning] = dropForeignSyntax(`"${field}"`, prompt).warnings;
  if (warning === undefined) return;
  throw new UsageError(warning, { details: { field } });
}
