/** Files by which processes tell each other that something is in use. @module */

/**
 * Opens a file, which is made if it is not there, and locks it. The system lets go of it when the process ends, however it
 * ends; closing it does so before.
 *
 * @returns undefined while another process has it
 * @throws what the system says if the file cannot be opened, or its file system has no locks
 */
export async function tryLockFile(path: string): Promise<Deno.FsFile | undefined> {
  const file = await Deno.open(path, { read: true, write: true, create: true });
  try {
    if (await file.tryLock(true)) return file;
  } catch (error) {
    file.close();
    throw error;
  }
  file.close();
  return undefined;
}
