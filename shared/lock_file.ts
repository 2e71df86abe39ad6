/** Files by which processes tell each other that something is in use. @module */

/**
 * Opens a file, which is made if it is not there, and locks it. The system lets go of it when the process ends, however it
 * ends; closing it does so before.
 *
 * @returns undefined while another process has it, or has just removed it
 * @throws what the system says if the file cannot be opened, or its file system has no locks
 */
export async function tryLockFile(path: string): Promise<Deno.FsFile | undefined> {
  const file = await Deno.open(path, { read: true, write: true, create: true });
  try {
    if (await file.tryLock(true) && await isAt(path, file)) return file;
  } catch (error) {
    file.close();
    throw error;
  }
  file.close();
  return undefined;
}

/** Whether the file of that name is still this one. */
async function isAt(path: string, file: Deno.FsFile): Promise<boolean> {
  const [now, ours] = await Promise.all([Deno.stat(path).catch(() => undefined), file.stat()]);
  return now !== undefined && now.ino === ours.ino;
}
