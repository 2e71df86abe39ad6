/** A ComfyUI graph in its API form: nodes by id, whose inputs are values or links to other nodes' outputs. @module */

import { show } from "../../../shared/show.ts";
import type { JsonObject } from "../server/request_body.ts";
import { nodeError, promptError } from "./comfy_error.ts";

export interface GraphNode {
  readonly id: string;
  readonly classType: string;
  readonly inputs: JsonObject;
}

/** More nodes than graphs of text to picture have. */
const MAX_NODES = 1000;

export class ComfyGraph {
  readonly #nodes: ReadonlyMap<string, GraphNode>;

  /** @throws {UsageError} as ComfyUI refuses what is no graph */
  constructor(json: unknown) {
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      throw promptError("no_prompt", `"prompt" must be a graph: current value is ${show(json)}`);
    }
    const entries = Object.entries(json);
    if (entries.length > MAX_NODES) {
      throw promptError("invalid_prompt", `A graph may have ${MAX_NODES} nodes: this one has more`);
    }
    this.#nodes = new Map(entries.map(([id, node]) => [id, readNode(id, node)]));
  }

  get nodes(): readonly GraphNode[] {
    return [...this.#nodes.values()];
  }

  /**
   * The node that an input is linked to.
   *
   * @param types what it may be, and of which of its outputs the link must be
   * @throws {UsageError} naming the input
   */
  follow(node: GraphNode, input: string, types: Readonly<Record<string, number>>): GraphNode {
    const link = node.inputs[input];
    if (link === undefined) throw wrongInput(node, input, "required_input_missing", "is missing");
    const [id, output] = Array.isArray(link) && link.length === 2 ? link : [];
    const target = typeof id === "string" || typeof id === "number"
      ? this.#nodes.get(String(id))
      : undefined;
    if (!target) throw wrongInput(node, input, "bad_linked_input", "must be a link to a node");
    const expected = Object.keys(types);
    if (!expected.includes(target.classType)) {
      const text = `must come from ${expected.join(" or ")}, which is all that Tutti has for it: ` +
        `node ${show(target.id)} is ${show(target.classType)}`;
      throw wrongInput(node, input, "return_type_mismatch", text);
    }
    if (output !== types[target.classType]) {
      throw wrongInput(
        node,
        input,
        "return_type_mismatch",
        `must be output ${types[target.classType]} of node ${show(target.id)}`,
      );
    }
    return target;
  }
}

export function wrongInput(
  { id: node, classType }: GraphNode,
  input: string,
  type: string,
  text: string,
) {
  return nodeError({ node, classType, input, type }, `${classType}: "${input}" ${text}`);
}

function readNode(id: string, json: unknown): GraphNode {
  const { class_type: classType, inputs } = (json ?? {}) as Record<string, unknown>;
  if (typeof classType !== "string") {
    throw promptError("invalid_prompt", `Node ${show(id)} of the graph must have a class_type`);
  }
  const isObject = typeof inputs === "object" && inputs !== null && !Array.isArray(inputs);
  return { id, classType, inputs: isObject ? inputs as JsonObject : {} };
}
