/**
 * Graph -> the bytes of an ONNX model. Weights stay where they are: each becomes an external-data
 * reference (file name, offset, length) that ONNX Runtime resolves in the folder given with the session.
 *
 * @module
 */

import protobuf from "protobufjs";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { FormatError } from "../errors.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { readEmbedded } from "./embedded_bytes.ts";
import {
  type AttributeValue,
  COMPUTED,
  type ExternalBytes,
  type Graph,
  type Initializer,
  type Node,
  type Value,
} from "./graph.ts";

/** The operator set whose definitions `ops/` follows. */
const OPSET = 20;
const IR_VERSION = 9;
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;

const root = protobuf.loadSync(fileURLToPath(new URL("../../proto/onnx.proto", import.meta.url)));
const ModelProto = root.lookupType("onnx.ModelProto");

export interface EncodedModel {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The one folder that all referenced weight files lie in; undefined without external weights. */
  readonly weightsFolder: string | undefined;
  /** Weights that lie in no file, so that the session must be given them; absent without such. */
  readonly computed?: readonly ComputedBytes[];
}

export interface ComputedBytes extends Pick<ExternalBytes, "offset" | "length"> {
  /** The name of a file of its own, by which the model asks for it. */
  readonly location: string;
}

/**
 * Encodes a graph.
 *
 * @throws {FormatError} if its weights lie in more than one folder (ONNX Runtime resolves against one)
 */
export function encodeModel(graph: Graph): EncodedModel {
  const external = graph.initializers.flatMap((i) => "external" in i ? [i.external] : []);
  const folders = new Set(
    external.flatMap((bytes) => bytes.embed || isComputed(bytes) ? [] : [dirname(bytes.path)]),
  );
  if (folders.size > 1) {
    throw new FormatError(
      `Graph "${graph.name}" needs its weights in one folder: current folders are ${
        [...folders].join(", ")
      }`,
    );
  }
  const message = ModelProto.fromObject({
    irVersion: IR_VERSION,
    producerName: "tutti",
    graph: {
      name: graph.name,
      node: graph.nodes.map(encodeNode),
      initializer: graph.initializers.map(encodeInitializer),
      input: graph.inputs.map(encodeValueInfo),
      output: graph.outputs.map(encodeValueInfo),
    },
    opsetImport: [{ domain: "", version: OPSET }, { domain: "com.microsoft", version: 1 }],
  });
  const bytes = ModelProto.encode(message).finish().slice() as Uint8Array<ArrayBuffer>;
  const computed = new Map(
    external.filter(isComputed).map(({ offset, length }) => {
      const location = locationOf(offset, length);
      return [location, { location, offset, length }] as const;
    }),
  );
  return {
    bytes,
    weightsFolder: folders.values().next().value,
    ...(computed.size > 0 && { computed: [...computed.values()] }),
  };
}

function isComputed({ path }: ExternalBytes): boolean {
  return path === COMPUTED;
}

function locationOf(offset: number, length: number): string {
  return `${COMPUTED} ${offset} ${length}`;
}

function encodeNode(node: Node, index: number): unknown {
  return {
    name: `${node.op}_${index}`,
    opType: node.op,
    domain: node.domain,
    input: node.inputs,
    output: node.outputs,
    attribute: Object.entries(node.attributes).map(([name, value]) => ({
      name,
      ...encodeAttribute(value),
    })),
  };
}

function encodeAttribute(value: AttributeValue): Record<string, unknown> {
  if ("int" in value) return { type: ATTRIBUTE_TYPE.int, i: value.int };
  if ("float" in value) return { type: ATTRIBUTE_TYPE.float, f: value.float };
  if ("string" in value) {
    return { type: ATTRIBUTE_TYPE.string, s: new TextEncoder().encode(value.string) };
  }
  return { type: ATTRIBUTE_TYPE.ints, ints: value.ints };
}

function encodeInitializer(initializer: Initializer): unknown {
  const { name, dtype, shape } = initializer;
  const common = { name, dataType: DTYPES[dtype].onnx, dims: shape };
  if ("bytes" in initializer) return { ...common, rawData: initializer.bytes };
  if (initializer.external.embed) {
    return { ...common, rawData: readEmbedded(initializer.external, DTYPES[dtype].bytes) };
  }
  const { path, offset, length } = initializer.external;
  const [location, begin] = isComputed(initializer.external)
    ? [locationOf(offset, length), 0]
    : [basename(path), offset];
  return {
    ...common,
    dataLocation: 1,
    externalData: [
      { key: "location", value: location },
      { key: "offset", value: String(begin) },
      { key: "length", value: String(length) },
    ],
  };
}

function encodeValueInfo({ name, dtype, shape }: Value): unknown {
  const dim = shape.map((d) => typeof d === "number" ? { dimValue: d } : { dimParam: d });
  return { name, type: { tensorType: { elemType: DTYPES[dtype].onnx, shape: { dim } } } };
}
