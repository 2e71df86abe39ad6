/** `--nats` and `--nats-creds`, the same in every command that finds others over NATS. @module */

import { Option } from "commander";

export interface NatsFlags {
  readonly nats?: string;
  readonly natsCreds?: string;
}

/** @param what what NATS is for in this command, for the help text */
export function natsOption(what: string): Option {
  return new Option(
    "--nats <url>",
    `${what}: nats://[USER:PASSWORD@]HOST:PORT, several separated by commas`,
  ).env("TUTTI_NATS");
}

export function natsCredsOption(): Option {
  return new Option("--nats-creds <file>", "log in to NATS with this credentials file")
    .env("TUTTI_NATS_CREDS");
}
