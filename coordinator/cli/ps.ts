import { Command } from "commander";
export function psCommand(): Command {
  return new Command("ps");
}
