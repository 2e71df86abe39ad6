/** `--device` and `--precision`, the same in every command that computes. @module */

import { InvalidArgumentError, Option } from "commander";
import { headingOf } from "../terminal/help_groups.ts";
import { PRECISION_CHOICES, type PrecisionChoice } from "./backend.ts";
import { type DeviceChoice, readDevice } from "./device_name.ts";

export interface DeviceFlags {
  readonly device: DeviceChoice;
  readonly precision: PrecisionChoice;
}

/** @param what what computes on the device, for the help text */
export function deviceOption(what: string): Option {
  return new Option(
    "--device <device>",
    `${what}: cpu, webgpu, cuda, cuda:N (one of several GPUs); auto takes a GPU that works, else the processor`,
  )
    .argParser(parseDevice)
    .env("TUTTI_DEVICE")
    .default("auto")
    .helpGroup(headingOf("Computing"));
}

function parseDevice(text: string): DeviceChoice {
  const read = readDevice(text);
  if ("device" in read) return read.device;
  throw new InvalidArgumentError(`${read.problem}.`);
}

/** @param whose whose computing it is, for the help text */
export function precisionOption(whose: string): Option {
  return new Option(
    "--precision <precision>",
    `floats that ${whose} in; f16 needs half the memory, auto takes it where tutti verify --precision f16 has passed on the device`,
  )
    .choices(PRECISION_CHOICES)
    .default("f32")
    .helpGroup(headingOf("Computing"));
}
