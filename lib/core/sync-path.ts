import { open } from 'node:fs/promises'

/** fsync of a file or, so that a rename survives a power cut, of a folder. */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
