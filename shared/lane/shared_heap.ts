/**
 * One heap for all sessions of a process. ONNX Runtime would keep an arena per session, 25 for a U-Net, each as large as its
 * block's activations; without arenas every large activation is fresh memory from the system, page by page.
 * So glibc is told to keep what is freed, in one place, whoever asked for it: the activations of one block are the
 * memory of the next.
 *
 * Loading does the same with the copies that ONNX Runtime makes of every weight on the way from the file to its kernels: in
 * fresh pages each, they took most of the time of a model's start. What is free after that is given back when it has become
 * much, and when loading is over.
 *
 * @module
 */

/** `mallopt` parameters of glibc's malloc.h. */
const M_TRIM_THRESHOLD = -1;
const M_TOP_PAD = -2;
const M_MMAP_MAX = -4;
const M_ARENA_MAX = -8;

/** Freed memory is given back only by `trimHeap()`. */
const NEVER_TRIM_BYTES = 2 ** 31 - 1;
/** The heap grows in steps of this. */
const GROWTH_BYTES = 64 * 1024 * 1024;

/** `struct mallinfo2` of malloc.h: ten numbers, the ninth of which counts the free bytes. */
const MALLINFO2_FIELDS = 10;
const FORDBLKS_OFFSET = 8 * 8;

const libc = openLibc();

/** What may lie free between weights while a model loads: several copies of its largest block, which the next one needs. */
const FREE_WHILE_LOADING_BYTES = 500_000_000n;

/** To be called before the first lane starts. Other C libraries than glibc keep their own ways. */
export function shareHeap(): void {
  if (!libc) return;
  libc.symbols.mallopt(M_ARENA_MAX, 1);
  libc.symbols.mallopt(M_MMAP_MAX, 0);
  libc.symbols.mallopt(M_TOP_PAD, GROWTH_BYTES);
  libc.symbols.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM_BYTES);
}

/** To be called after a graph was loaded, whose copies the next one's can lie in. */
export function trimLargeHeap(): void {
  if (!libc) return;
  const fields = libc.symbols.mallinfo2();
  const free = new DataView(fields.buffer, fields.byteOffset).getBigUint64(FORDBLKS_OFFSET, true);
  if (free > FREE_WHILE_LOADING_BYTES) trimHeap();
}

/** Gives free pages back to the system. */
export function trimHeap(): void {
  libc?.symbols.malloc_trim(0n);
}

function openLibc() {
  if (Deno.build.os !== "linux") return undefined;
  try {
    return Deno.dlopen("libc.so.6", {
      mallopt: { parameters: ["i32", "i32"], result: "i32" },
      mallinfo2: { parameters: [], result: { struct: new Array(MALLINFO2_FIELDS).fill("usize") } },
      malloc_trim: { parameters: ["usize"], result: "i32" },
    });
  } catch {
    return undefined; // musl has none of these names, glibc before 2.33 not the last.
  }
}
