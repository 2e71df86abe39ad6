/** `--device` and `--precision`, the same in every command that computes. @module */

import { Option } from "commander";
import { headingOf } from "../terminal/help_groups.ts";
import { PRECISION_CHOICES, type PrecisionChoice } from "./backend.ts";
import { DEVICE_CHOICES, type DeviceChoice } from "./choose_device.ts";

export interface DeviceFlags {
  readonly device: DeviceChoice;
  readonly precision: PrecisionChoice;
}

/** @param what what computes on the device, for the help text */
export function deviceOption(what: string): Option {
  return new Option("--device <device>", `${what}; auto takes a GPU that works, else the processor`)
    .choices(DEVICE_CHOICES)
    .env("TUTTI_DEVICE")
    .default("auto")
    .helpGroup(headingOf("Computing"));
}

/** @param whose whose computing it is, for the help text */
export function precisionOption(whose: string): Option {
  return new Option(
    "--precision <precision>",
    `floats that ${whose} in; f16 needs half the memory, auto takes it where the device has it`,
  )
    .choices(PRECISION_CHOICES)
    .default("f32")
    .helpGroup(headingOf("Computing"));
}
