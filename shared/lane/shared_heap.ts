/**
 * One heap for all sessions of a process. ONNX Runtime would keep an arena per session, 25 for a U-Net, each as large as its
 * block's activations; without arenas every large activation is fresh memory from the system, page by page.
 * So glibc is told to keep what is freed, in one place, whoever asked for it: the activations of one block are the
 * memory of the next.
 *
 * Weights stay out of it. Among activations they would lie scattered, and the gaps between them, which loading leaves
 * and no large activation fits into, would be held for good: 0.6 GB of 3.4 in an SD1.5 U-Net.
 *
 * @module
 */

/** `mallopt` parameters of glibc's malloc.h. */
const M_TRIM_THRESHOLD = -1;
const M_TOP_PAD = -2;
const M_MMAP_THRESHOLD = -3;
const M_MMAP_MAX = -4;
const M_ARENA_MAX = -8;

/** Freed memory is given back only by `trimHeap()`. */
const NEVER_TRIM_BYTES = 2 ** 31 - 1;
/** The heap grows in steps of this. */
const GROWTH_BYTES = 64 * 1024 * 1024;

const libc = openLibc();

/** From this size on memory gets pages of its own while weights are loaded; what is smaller sums up to little. */
const OWN_PAGES_BYTES = 128 * 1024;
/** More than a model has weights, and half of what Linux allows a process in mappings (`vm.max_map_count`). */
const MAX_OWN_PAGES = 32_768;

/** To be called before the first lane starts. Other C libraries than glibc keep their own ways. */
export function shareHeap(): void {
  if (!libc) return;
  libc.symbols.mallopt(M_ARENA_MAX, 1);
  libc.symbols.mallopt(M_MMAP_THRESHOLD, OWN_PAGES_BYTES);
  libc.symbols.mallopt(M_MMAP_MAX, 0);
  libc.symbols.mallopt(M_TOP_PAD, GROWTH_BYTES);
  libc.symbols.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM_BYTES);
}

/**
 * From here on large memory has pages of its own, which the system gets back as soon as they are freed: for loading, and for a
 * graph's first run, so that its activations leave no room in the heap for the weights of the next one. It holds for all
 * threads; a lane that computes meanwhile is a little slower.
 */
export function leaveHeap(): void {
  // Free room in the heap would be taken before new pages are.
  trimHeap();
  libc?.symbols.mallopt(M_MMAP_MAX, MAX_OWN_PAGES);
}

/** From here on all memory is of the heap. */
export function useHeap(): void {
  libc?.symbols.mallopt(M_MMAP_MAX, 0);
}

/** Gives free pages back to the system: around loading, whose copies are larger than anything that follows, and after a release. */
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
