/**
 * Literal safetensors bytes for tests, and a folder to put them in.
 *
 * @module
 */

import { join } from "node:path";

/** Length field, header text as it is, and `dataBytes` bytes of data that count up from 0. */
export function rawFile(header: string | Uint8Array, dataBytes = 0): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.byteLength + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.byteLength), true);
  bytes.set(json, 8);
  bytes.set(Uint8Array.from({ length: dataBytes }, (_, i) => i), 8 + json.byteLength);
  return bytes;
}

/** A temporary folder that goes with the scope: `await using folder = await TempFolder.make()`. */
export class TempFolder implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<TempFolder> {
    return new TempFolder(await Deno.makeTempDir({ prefix: "tutti-test-" }));
  }

  /** Writes a file and returns its path. */
  async write(name: string, content: Uint8Array | string): Promise<string> {
    const path = join(this.path, name);
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await Deno.writeFile(path, bytes);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
