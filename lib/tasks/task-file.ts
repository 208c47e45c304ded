// Tasks on disk, read back by position: 8 bytes per task in memory, whatever the tasks hold.
import { createHash, randomUUID } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { HdpoError } from '../core/errors.js'
import { rememberPlace } from '../rollout/task-place.js'
import type { Task } from '../rollout/types.js'

// Lines are buffered and written in pieces of about this size.
const writeBytes = 1 << 20

export class TaskFile {
  /** Byte offset where task i begins, then the end of the last task. */
  readonly #offsets: number[] = [0]
  readonly #hash = createHash('sha256')
  #pending: Buffer[] = []
  #pendingBytes = 0
  #fingerprint: string | undefined

  private constructor(
    private readonly handle: FileHandle,
    private readonly path: string | undefined,
  ) {}

  /** Makes a file in `folder` that is gone once it is closed or this process ends. */
  static async create(folder: string): Promise<TaskFile> {
    const path = join(folder, `hdpo-tasks-${randomUUID()}.jsonl`)
    const handle = await open(path, 'wx+', 0o600)
    // Windows cannot remove the name of a file that is open.
    if (process.platform === 'win32') return new TaskFile(handle, path)
    await unlink(path)
    return new TaskFile(handle, undefined)
  }

  get length(): number {
    return this.#offsets.length - 1
  }

  /** `place`: where the task was read, which is remembered. It follows the task after a tab, of which JSON has none. */
  async append(task: Task, place: string): Promise<void> {
    const json = JSON.stringify(task)
    this.#hash.update(`${json}\n`)
    const line = Buffer.from(`${json}\t${place}`)
    this.#offsets.push((this.#offsets.at(-1) as number) + line.length)
    this.#pending.push(line)
    this.#pendingBytes += line.length
    if (this.#pendingBytes >= writeBytes) await this.flush()
  }

  /** Writes what is buffered; call it after the last append and before the first read. */
  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.#pending)
    const position = (this.#offsets.at(-1) as number) - this.#pendingBytes
    for (let written = 0; written < bytes.length; ) {
      written += (await this.handle.write(bytes, written, bytes.length - written, position + written))
        .bytesWritten
    }
    this.#pending = []
    this.#pendingBytes = 0
  }

  async read(index: number): Promise<Task | undefined> {
    const [start, end] = [this.#offsets[index], this.#offsets[index + 1]]
    if (start === undefined || end === undefined) return undefined
    const bytes = Buffer.alloc(end - start)
    for (let read = 0; read < bytes.length; ) {
      const { bytesRead } = await this.handle.read(bytes, read, bytes.length - read, start + read)
      if (bytesRead === 0)
        throw new HdpoError('ERR_TASKS', `the temporary file of tasks ends inside task ${index}`)
      read += bytesRead
    }
    const text = bytes.toString('utf8')
    const tab = text.indexOf('\t')
    return rememberPlace(JSON.parse(text.slice(0, tab)) as Task, text.slice(tab + 1))
  }

  /** The same as run/run-state.ts computes for an array with the same tasks. */
  get fingerprint(): string {
    this.#fingerprint ??= this.#hash.digest('hex').slice(0, 16)
    return this.#fingerprint
  }

  async close(): Promise<void> {
    await this.handle.close()
    if (this.path !== undefined) await unlink(this.path)
  }
}
