/** Folders that are there whole or not at all. @module */

/**
 * @param write fills a folder beside the target, which then takes its name; a folder of that name that was there is gone then
 */
export async function writeWholeFolder(
  path: string,
  write: (folder: string) => Promise<void>,
): Promise<void> {
  const id = crypto.randomUUID();
  const [temporary, old] = [`${path}.${id}.partial`, `${path}.${id}.old`];
  await Deno.mkdir(temporary, { recursive: true });
  try {
    await write(temporary);
    const isReplaced = await moveAway(path, old);
    try {
      await Deno.rename(temporary, path);
    } catch (error) {
      if (isReplaced) await Deno.rename(old, path);
      throw error;
    }
    if (isReplaced) await Deno.remove(old, { recursive: true });
  } catch (error) {
    await Deno.remove(temporary, { recursive: true }).catch(
      () => {/* It has the target's name. */},
    );
    throw error;
  }
}

/** A folder's name can only be taken when no folder has it. */
async function moveAway(path: string, to: string): Promise<boolean> {
  try {
    await Deno.rename(path, to);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
