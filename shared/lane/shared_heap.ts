/**
 * One heap for all sessions of a process. ONNX Runtime would keep an arena per session, 25 for a U-Net, each as large as its
 * block's activations; without arenas every large activation is fresh memory from the system, page by page.
 * So glibc is told to keep what is freed, in one place, whoever asked for it: the activations of one block are the
 * memory of the next.
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

const libc = openLibc();

/** To be called before the first lane starts. Other C libraries than glibc keep their own ways. */
export function shareHeap(): void {
  if (!libc) return;
  libc.symbols.mallopt(M_ARENA_MAX, 1);
  libc.symbols.mallopt(M_MMAP_MAX, 0);
  libc.symbols.mallopt(M_TOP_PAD, GROWTH_BYTES);
  libc.symbols.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM_BYTES);
}

/** Gives free pages back to the system: after loading, whose copies are larger than anything that follows. */
export function trimHeap(): void {
  libc?.symbols.malloc_trim(0n);
}

function openLibc() {
  if (Deno.build.os !== "linux") return undefined;
  try {
    return Deno.dlopen("libc.so.6", {
      mallopt: { parameters: ["i32", "i32"], result: "i32" },
      malloc_trim: { parameters: ["usize"], result: "i32" },
    });
  } catch {
    return undefined; // musl has neither name.
  }
}
