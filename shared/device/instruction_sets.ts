/** What the processor can do, as far as ONNX Runtime chooses its kernels by it. @module */

const KERNEL_FLAGS = [
  "avx",
  "avx2",
  "fma",
  "avx512f",
  "avx512_vnni",
  "avx512_bf16",
  "amx_tile",
  "asimd",
  "sve",
];

/** Architecture, and on Linux the instruction sets among `KERNEL_FLAGS` that the processor has. */
export async function instructionSets(): Promise<string> {
  try {
    const info = await Deno.readTextFile("/proc/cpuinfo");
    const flags = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(info)?.[1]?.split(/\s+/));
    return [Deno.build.arch, ...KERNEL_FLAGS.filter((flag) => flags.has(flag))].join(" ");
  } catch {
    return Deno.build.arch; // Other systems: the architecture is all that they tell.
  }
}
