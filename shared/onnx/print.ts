/**
 * Graph -> text that a person can read and a test can compare. The text holds everything that decides
 * the numbers except the weights' bytes, so its hash identifies the computation (`NumericsFingerprint.graphHash`).
 *
 * @module
 */

import { createHash } from "node:crypto";
import { formatType } from "../tensor/tensor.ts";
import type { AttributeValue, Graph } from "./graph.ts";

/** One line per input, weight, node and output. */
export function printGraph(graph: Graph): string {
  const lines = [`graph ${graph.name}`];
  for (const { name, dtype, shape } of graph.inputs) {
    lines.push(`  input ${name}: ${formatType(dtype, shape)}`);
  }
  for (const initializer of graph.initializers) {
    const kind = "external" in initializer ? "weight" : "constant";
    const type = formatType(initializer.dtype, initializer.shape);
    const content = "bytes" in initializer ? ` = ${formatBytes(initializer.bytes)}` : "";
    lines.push(`  ${kind} ${initializer.name}: ${type}${content}`);
  }
  for (const node of graph.nodes) {
    const op = node.domain === "" ? node.op : `${node.domain}.${node.op}`;
    const attributes = Object.entries(node.attributes).map(([k, v]) =>
      `${k}=${formatAttribute(v)}`
    );
    const suffix = attributes.length > 0 ? ` {${attributes.join(", ")}}` : "";
    lines.push(
      `  ${node.outputs.join(", ")} = ${op}(${
        node.inputs.map((i) => i || "-").join(", ")
      })${suffix}`,
    );
  }
  for (const { name, dtype, shape } of graph.outputs) {
    lines.push(`  output ${name}: ${formatType(dtype, shape)}`);
  }
  return lines.join("\n") + "\n";
}

function formatAttribute(value: AttributeValue): string {
  if ("ints" in value) return `[${value.ints.join(",")}]`;
  return String(Object.values(value)[0]);
}

/** Short constants in hex, long ones by their digest. */
function formatBytes(bytes: Uint8Array): string {
  if (bytes.length <= 32) return bytes.toHex();
  return `sha256 ${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}`;
}
