// Looks at where something will be written before the work whose result it is. The work may take hours or cost money.
import { access, constants, mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Makes the folder where it is absent; rejects with the system's error where nothing can be written into it. */
export async function makeWritable(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await access(folder, constants.W_OK)
}

/** As checkWritableFile, for a folder that will appear whole under that name, or be put in the place of the one there is. */
export async function checkReplaceableFolder(path: string): Promise<void> {
  await makeWritable(dirname(path))
  const found = await stat(path).catch(ignoreAbsent)
  if (!found) return
  if (!found.isDirectory()) throw Object.assign(new Error(path), { code: 'ENOTDIR', syscall: 'open', path })
  await access(path, constants.W_OK)
}

/** Rejects with the system's error where the file could not be written: its folder is missing or closed, or it is a folder itself. */
export async function checkWritableFile(path: string): Promise<void> {
  await access(dirname(path), constants.W_OK)
  const found = await stat(path).catch(ignoreAbsent)
  if (!found) return
  if (found.isDirectory()) throw Object.assign(new Error(path), { code: 'EISDIR', syscall: 'open', path })
  await access(path, constants.W_OK)
}

function ignoreAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
  return undefined
}
