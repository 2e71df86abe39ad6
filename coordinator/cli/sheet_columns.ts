/** The columns of a sheet: what differs between the pictures of a row. @module */

import { UsageError } from "../../shared/errors.ts";
import { findMethod, METHODS } from "../sampling/methods/methods.ts";
import { parseMethod } from "../sampling/methods/method_text.ts";
import { findSampler, SAMPLERS } from "../sampling/samplers/samplers.ts";
import type { GivenSettings } from "../settings/settings.ts";

export interface ColumnFlags {
  readonly methods?: readonly string[] | "all";
  readonly samplers?: readonly string[] | "all";
}

/** What columns follow from besides. */
export interface ColumnFacts {
  /** Their names, in the ensemble's order. */
  readonly experts: readonly string[];
  readonly hasSabw: boolean;
  /** Whether the experts' features cannot be averaged, but their noises can. @default false */
  readonly featuresDiffer?: boolean;
}

/** One way of drawing. */
export interface Column {
  readonly title: string;
  readonly settings: Pick<GivenSettings, "method" | "sampler">;
  /** Whether it is there because all of a table are: then it is left out where it does not fit. */
  readonly isOptional: boolean;
}

/**
 * Methods with their options, separated by commas as the options are: `average,switch:photo=0,anime=0.4,afa` are three. What has a
 * `=` and no name before it belongs to the method before.
 *
 * @throws {UsageError} if a method is not known
 */
export function methodList(text: string): readonly string[] | "all" {
  if (text === "all") return "all";
  const methods: string[] = [];
  for (const part of text.split(",").map((part) => part.trim())) {
    const isOption = /^[^:]+=/.test(part) && methods.at(-1)?.includes(":");
    if (isOption) methods.push(`${methods.pop()},${part}`);
    else methods.push(part);
  }
  methods.forEach((method) => findMethod(parseMethod(method).name));
  return refuseTwins("--methods", methods);
}

/** @throws {UsageError} if a sampler is not known */
export function samplerList(text: string): readonly string[] | "all" {
  if (text === "all") return "all";
  return refuseTwins("--samplers", text.split(",").map((name) => findSampler(name).name));
}

function refuseTwins(flag: string, names: readonly string[]): readonly string[] {
  const twin = names.find((name, i) => names.indexOf(name) < i);
  if (twin === undefined) return names;
  throw new UsageError(`${flag} must name each column once: "${twin}" comes twice`);
}

/**
 * One column for each method, sampler, or pair of both; without either, each expert alone, their average, and AFA where there are
 * trained aggregators.
 */
export function sheetColumns(
  { methods, samplers }: ColumnFlags,
  { experts, hasSabw, featuresDiffer = false }: ColumnFacts,
): Column[] {
  const bySampler = samplerColumns(samplers);
  if (samplers !== undefined && methods === undefined) return bySampler;
  const byMethod = methods === undefined
    ? expertColumns({ experts, hasSabw, featuresDiffer })
    : methodColumns(methods, experts);
  if (samplers === undefined) return byMethod;
  return byMethod.flatMap((method) =>
    bySampler.map((sampler) => ({
      title: `${method.title}, ${sampler.title}`,
      settings: { ...method.settings, ...sampler.settings },
      isOptional: method.isOptional || sampler.isOptional,
    }))
  );
}

function expertColumns({ experts, hasSabw, featuresDiffer }: ColumnFacts): Column[] {
  const column = (title: string, method: string) => ({
    ...{ title, settings: { method }, isOptional: false },
  });
  return [
    ...experts.map((name) => column(`${name} alone`, `only:${name}`)),
    column("averaging", featuresDiffer ? "noise-average" : "average"),
    ...(hasSabw ? [column("AFA", "afa")] : []),
  ];
}

function methodColumns(methods: readonly string[] | "all", experts: readonly string[]): Column[] {
  const isOptional = methods === "all";
  const texts = isOptional
    ? METHODS.map(({ name, example }) => example ? `${name}:${example(experts)}` : name)
    : methods;
  return texts.map((method) => ({ title: method, settings: { method }, isOptional }));
}

function samplerColumns(samplers: ColumnFlags["samplers"] = []): Column[] {
  const isOptional = samplers === "all";
  const names = isOptional ? SAMPLERS.map(({ name }) => name) : samplers;
  return names.map((sampler) => ({
    ...{ title: findSampler(sampler).label, settings: { sampler }, isOptional },
  }));
}
