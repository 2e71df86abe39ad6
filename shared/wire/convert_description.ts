/**
 * Who an expert is, as a DescribeResponse and back. The shapes at the training size are for readers in
 * other languages: they follow from the block table, so our own reader does not take them.
 *
 * @module
 */

import type { LoraDescription } from "../checkpoint/lora/merge_loras.ts";
import type {
  ExpertDescription,
  NumericsFingerprint,
  TextDescription,
  WeightsHashes,
} from "../engine/expert.ts";
import { TuttiError } from "../errors.ts";
import { blockOutputShape, type BlockSpec, sizeAtScale } from "../models/blocks.ts";
import { PREDICTION_TYPES } from "../models/config/scheduler_config.ts";
import { FAMILY_IDS } from "../models/families.ts";
import { scheduleFromFields, scheduleToMessage } from "./convert_schedule.ts";
import { Fields, type Message } from "./fields.ts";
import type { WorkerLimits } from "./limits.ts";
import type { ProtocolRange } from "./version.ts";

/** Everything that a Describe answers. */
export interface WorkerDescription {
  readonly versions: Versions;
  readonly expert: ExpertDescription;
  /** The U-Net's config.json, or `""`. */
  readonly configJson: string;
  readonly limits: WorkerLimits;
}

export interface Versions {
  readonly protocol: ProtocolRange;
  readonly tutti: string;
  readonly deno: string;
  /** What computes, with its version; empty while the worker loads. */
  readonly runtime: string;
}

/** More blocks than any U-Net has, prefixes than any block has. */
const MAX_BLOCKS = 256;
const MAX_LOCATIONS = 64;
const MAX_TEXT_ENCODERS = 2;
const MAX_LORAS = 64;
/** Models of a merge, and the model without LoRAs. */
const MAX_BASES = 64;

export function descriptionToMessage(worker: WorkerDescription): Message {
  const { expert } = worker;
  const { blocks, texts, ownSchedule, ...scalars } = expert;
  return {
    ...scalars,
    versions: versionsToMessage(worker.versions),
    configJson: worker.configJson,
    blocks: blocks.map((block) => blockToMessage(block, expert.sampleSize)),
    textEncoders: texts,
    limits: worker.limits,
    ...(ownSchedule && { noiseSchedule: scheduleToMessage(ownSchedule) }),
  };
}

/** @returns whether `weightsHashesToMessage()` is wanted with the description */
export function wantsWeightsHash(message: unknown): boolean {
  return new Fields(message, "DescribeRequest").flag("weightsHash");
}

export function weightsHashesToMessage(hashes: WeightsHashes): Message {
  return { ...hashes };
}

/** `undefined` where the worker does not know the question. */
export function weightsHashesFromMessage(message: unknown): WeightsHashes | undefined {
  const fields = new Fields(message, "DescribeResponse");
  if (fields.text("weightsHash") === "") return undefined;
  return {
    weightsHash: hashFromFields(fields, "weightsHash"),
    baseWeightsHash: hashFromFields(fields, "baseWeightsHash"),
  };
}

/** Reads only what every revision of the protocol keeps: compare it before the rest. */
export function versionsFromDescription(message: unknown): Versions {
  return versionsFromFields(new Fields(message, "DescribeResponse").message("versions"));
}

export function descriptionFromMessage(message: unknown): WorkerDescription {
  const fields = new Fields(message, "DescribeResponse");
  const predictionType = fields.oneOf("predictionType", PREDICTION_TYPES);
  const baseHashes = fields.list("baseHashes", MAX_BASES).map((hash) =>
    isHash(hash) ? hash : fields.fail("baseHashes", "a list of 64 hexadecimal digits each", hash)
  );
  return {
    versions: versionsFromFields(fields.message("versions")),
    configJson: fields.text("configJson"),
    limits: limitsFromFields(fields.message("limits")),
    expert: {
      name: fields.name("name"),
      modelHash: hashFromFields(fields, "modelHash"),
      loras: fields.list("loras", MAX_LORAS).map(loraFromMessage),
      ...(baseHashes.length > 0 && { baseHashes }),
      family: fields.oneOf("family", FAMILY_IDS),
      predictionType,
      ...(fields.has("noiseSchedule") && {
        ownSchedule: scheduleFromFields(fields.message("noiseSchedule"), predictionType),
      }),
      latentChannels: fields.whole("latentChannels", 1),
      sampleSize: fields.whole("sampleSize", 1),
      timeEmbedDim: fields.whole("timeEmbedDim", 1),
      crossAttentionDim: fields.whole("crossAttentionDim", 1),
      blocks: blocksFromFields(fields),
      texts: fields.list("textEncoders", MAX_TEXT_ENCODERS).map(textFromMessage),
      pooledPromptDim: fields.whole("pooledPromptDim", 0),
      fingerprint: fingerprintFromFields(fields.message("fingerprint")),
    },
  };
}

export function fingerprintFromFields(fields: Fields): NumericsFingerprint {
  return {
    runtime: fields.text("runtime"),
    device: fields.text("device"),
    precision: fields.text("precision"),
    isa: fields.text("isa"),
    threads: fields.whole("threads", 0),
    graphHash: fields.text("graphHash"),
  };
}

function hashFromFields(fields: Fields, field: string): string {
  const hash = fields.text(field);
  return isHash(hash) ? hash : fields.fail(field, "64 hexadecimal digits");
}

function isHash(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}

function loraFromMessage(message: unknown): LoraDescription {
  const lora = new Fields(message, "LoraDescription");
  return {
    name: lora.name("name"),
    hash: hashFromFields(lora, "hash"),
    weight: lora.number("weight", -Number.MAX_VALUE),
  };
}

function textFromMessage(message: unknown): TextDescription {
  const text = new Fields(message, "TextEncoderDescription");
  return {
    vocabSize: text.whole("vocabSize", 1),
    maxLength: text.whole("maxLength", 1),
    hiddenSize: text.whole("hiddenSize", 1),
    bosTokenId: text.whole("bosTokenId", 0),
    eosTokenId: text.whole("eosTokenId", 0),
    padTokenId: text.whole("padTokenId", 0),
    pooledDim: text.whole("pooledDim", 1),
  };
}

export function versionsToMessage({ protocol, tutti, deno, runtime }: Versions): Message {
  return { protocolMin: protocol.min, protocolMax: protocol.max, tutti, deno, runtime };
}

export function versionsFromFields(fields: Fields): Versions {
  return {
    protocol: { min: fields.whole("protocolMin", 1), max: fields.whole("protocolMax", 1) },
    tutti: fields.text("tutti"),
    deno: fields.text("deno"),
    runtime: fields.text("runtime"),
  };
}

function blockToMessage(block: BlockSpec, sampleSize: number): Message {
  const size = sizeAtScale(sampleSize, block.inScale);
  return {
    ...block,
    inputShape: [block.inChannels, size, size],
    outputShape: blockOutputShape(block, sampleSize, sampleSize),
    skipShape: block.skipFrom === undefined ? [] : [block.skipChannels, size, size],
  };
}

function blocksFromFields(description: Fields): BlockSpec[] {
  const seen = new Set<string>();
  const blocks = description.list("blocks", MAX_BLOCKS).map((message) => {
    const fields = new Fields(message, "BlockDescription");
    const id = fields.name("id");
    if (seen.has(id)) fields.fail("id", "unique");
    const skipFrom = fields.text("skipFrom");
    if (skipFrom !== "" && !seen.has(skipFrom)) fields.fail("skipFrom", "an earlier block");
    seen.add(id);
    return {
      id,
      locations: fields.list("locations", MAX_LOCATIONS).map(String),
      inChannels: fields.whole("inChannels", 1),
      outChannels: fields.whole("outChannels", 1),
      inScale: fields.whole("inScale", 0, 16),
      outScale: fields.whole("outScale", 0, 16),
      ...(skipFrom !== "" && { skipFrom }),
      skipChannels: fields.whole("skipChannels", skipFrom === "" ? 0 : 1),
      upsamples: fields.flag("upsamples"),
    };
  });
  if (blocks.length === 0) throw new TuttiError("INVALID_ARGUMENT", "A model must have blocks");
  return blocks;
}

function limitsFromFields(fields: Fields): WorkerLimits {
  return {
    maxMessageBytes: fields.whole("maxMessageBytes", 1),
    maxBatch: fields.whole("maxBatch", 1),
    maxLatentHeight: fields.whole("maxLatentHeight", 1),
    maxLatentWidth: fields.whole("maxLatentWidth", 1),
    maxTokens: fields.whole("maxTokens", 1),
    maxTimesteps: fields.whole("maxTimesteps", 1),
    maxSessions: fields.whole("maxSessions", 1),
    sessionBytes: fields.whole("sessionBytes", 1),
    arenaBytes: fields.whole("arenaBytes", 1),
    idleLimitSeconds: fields.number("idleLimitSeconds"),
    maxCalls: fields.whole("maxCalls", 1),
    maxWaiting: fields.whole("maxWaiting", 0),
    // Of an older worker, which knows no such limit: as many as there may be.
    maxSessionsPerJob: fields.whole("maxSessionsPerJob", 0) || fields.whole("maxSessions", 1),
  };
}
