/** `--nats` and what belongs to it, the same in every command that finds others over NATS. @module */

import { type Command, Option } from "commander";
import { headingOf } from "../terminal/help_groups.ts";

export interface NatsFlags {
  readonly nats?: string;
  readonly natsCreds?: string;
  readonly natsCa?: string;
  readonly natsCert?: string;
  readonly natsKey?: string;
}

/** The environment variable of each flag. */
export const NATS_ENV: Readonly<Record<keyof NatsFlags, string>> = {
  nats: "TUTTI_NATS",
  natsCreds: "TUTTI_NATS_CREDS",
  natsCa: "TUTTI_NATS_CA",
  natsCert: "TUTTI_NATS_CERT",
  natsKey: "TUTTI_NATS_KEY",
};

/** @param what what NATS is for in this command, for the help text */
export function addNatsOptions(command: Command, what: string): Command {
  const options = [
    new Option(
      "--nats <url>",
      `${what}: nats://[USER:PASSWORD@]HOST:PORT, or tls://; several separated by commas`,
    ).env(NATS_ENV.nats),
    new Option("--nats-creds <file>", "log in to NATS with this credentials file")
      .env(NATS_ENV.natsCreds),
    new Option("--nats-ca <file>", "authority (PEM) of the NATS server's certificate; asks for TLS")
      .env(NATS_ENV.natsCa),
    new Option("--nats-cert <file>", "certificate (PEM) to show to a NATS server that asks for one")
      .env(NATS_ENV.natsCert),
    new Option("--nats-key <file>", "private key of --nats-cert (PEM)").env(NATS_ENV.natsKey),
  ];
  for (const option of options) command.addOption(option.helpGroup(headingOf("Network")));
  return command;
}
