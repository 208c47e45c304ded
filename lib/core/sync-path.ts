import { open } from 'node:fs/promises'

/** Runs fsync on a file, or on a folder, so that a rename in it survives a power cut. */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
