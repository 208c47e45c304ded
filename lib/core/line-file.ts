// A file that lines of JSON are appended to, by one process at a time. A line is in it as a whole or not at all, also after a crash
// or on a full disk: half a line would be glued to the next one, and no reader could tell them apart.
import { appendFile, open, stat, truncate } from 'node:fs/promises'
import { systemError } from './system-error.js'

export class LineFile {
  /** Lines are written one after the other, so that they never mix. */
  #written: Promise<void> = Promise.resolve()

  private constructor(readonly path: string) {}

  /** Removes a last line that was cut off, and says so to `warn`. The file need not exist yet. */
  static async open(path: string, warn: (message: string) => void): Promise<LineFile> {
    await heal(path, warn)
    return new LineFile(path)
  }

  /** `line` ends with a newline. Rejects where it could not be written; the file is then as before, and later lines are still tried. */
  append(line: string): Promise<void> {
    const writing = this.#written.then(() => this.#append(line))
    this.#written = writing.catch(() => {})
    return writing
  }

  async #append(line: string): Promise<void> {
    const before = await sizeOf(this.path)
    try {
      await appendFile(this.path, line)
    } catch (error) {
      // A full disk takes a part of the line. Giving room back needs none.
      if (before !== undefined && (await sizeOf(this.path)) !== before) await truncate(this.path, before)
      throw systemError(`cannot write ${this.path}`, error)
    }
  }
}

async function heal(path: string, warn: (message: string) => void): Promise<void> {
  const size = await sizeOf(path)
  if (size === undefined || size === 0) return
  const end = await endOfLines(path, size)
  if (end === size) return
  if (await isWhole(path, end, size)) {
    await appendFile(path, '\n')
    return
  }
  await truncate(path, end)
  warn(`${path}: its last line was cut off when its writer ended; these ${size - end} bytes are removed`)
}

/** The size of a regular file, 0 where there is none yet; undefined for what has no size, such as a device. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const status = await stat(path)
    return status.isFile() ? status.size : undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw systemError(`cannot read ${path}`, error)
  }
}

const blockBytes = 64 * 1024

/** The place after the last newline; 0 where there is none. It is looked for from the end, because the file may be large. */
async function endOfLines(path: string, size: number): Promise<number> {
  const file = await open(path)
  try {
    const block = Buffer.alloc(blockBytes)
    for (let end = size; end > 0; ) {
      const start = Math.max(end - blockBytes, 0)
      const { bytesRead } = await file.read(block, 0, end - start, start)
      const newline = block.subarray(0, bytesRead).lastIndexOf(0x0a)
      if (newline !== -1) return start + newline + 1
      end = start
    }
    return 0
  } finally {
    await file.close()
  }
}

/** Whether the last line lacks nothing but its newline. */
async function isWhole(path: string, start: number, end: number): Promise<boolean> {
  const file = await open(path)
  try {
    const bytes = Buffer.alloc(end - start)
    await file.read(bytes, 0, bytes.length, start)
    JSON.parse(bytes.toString())
    return true
  } catch (error) {
    if (error instanceof SyntaxError) return false
    throw error
  } finally {
    await file.close()
  }
}
