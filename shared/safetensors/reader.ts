/**
 * Opens a safetensors file: its header is read and checked, its tensors are read by range later.
 *
 * @module
 */

import { refuseForeignFormat, SNIFFED_BYTES } from "../weight_file/foreign_formats.ts";
import { openRegularFile, readRange } from "../weight_file/read_range.ts";
import { TensorFile } from "../weight_file/tensor_file.ts";
import { isPlausibleHeader, LENGTH_BYTES, parseHeader, parseHeaderLength } from "./header.ts";

export class SafetensorsFile extends TensorFile {
  /**
   * Reads and checks the header.
   *
   * @throws {FormatError} if the file is missing, no regular file, something else than safetensors, or
   *   its header is wrong in any way
   */
  static async open(path: string): Promise<SafetensorsFile> {
    using file = await openRegularFile(path);
    const { size } = await file.stat();
    const prefix = await readRange(file, { begin: 0, end: Math.min(size, SNIFFED_BYTES) }, path);
    refuseForeignFormat(prefix, { path, isPlausible: isPlausibleHeader(prefix, size) });
    const length = parseHeaderLength(prefix, size, path);
    const range = { begin: LENGTH_BYTES, end: LENGTH_BYTES + length };
    return new SafetensorsFile(path, parseHeader(await readRange(file, range, path), size, path));
  }
}
