// The lock of a folder, with real processes: who takes it, who is refused, and what becomes of one whose holder was killed.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  lockFolder,
  lockName,
  refuseHeldByOthers,
  whileHeld,
  whileHeldHere,
} from '../../lib/core/folder-lock.js'

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
const script = join(import.meta.dirname, 'lock-contender.ts')

let parent: string
let folder: string
const children: ChildProcess[] = []
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'hdpo-lock-'))
  folder = join(parent, 'run')
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(parent, { recursive: true, force: true })
})

const lockPath = () => join(folder, lockName)
const held = () => JSON.parse(readFileSync(lockPath(), 'utf8')) as Record<string, unknown>

/** A process that takes the lock `contenders` times at once, once it is told to where `start` is 'on-demand'; it says what came of each. */
function contender(contenders = 1, start = 'at-once'): { child: ChildProcess; next: () => Promise<string> } {
  const child = spawn(process.execPath, ['--import', tsx, script, folder, String(contenders), start], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  return { child, next: async () => String((await lines.next()).value) }
}

async function killedHolder(): Promise<void> {
  const { child, next } = contender()
  expect(await next()).toBe('taken')
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(held().pid).toBe(child.pid)
}

describe('the lock of a folder', () => {
  it('says who holds it, and is gone when they let go', async () => {
    const lock = await lockFolder(folder)
    expect(held()).toMatchObject({ pid: process.pid, host: hostname() })
    expect(Date.now() - Date.parse(held().since as string)).toBeLessThan(60_000)
    await lock.release()
    expect(readdirSync(folder)).toEqual([])
    await expect(whileHeld(folder, async () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(readdirSync(folder)).toEqual([])
  })

  it('refuses a second one in the same process, by any path, but not within the first', async () => {
    await whileHeld(folder, async () => {
      symlinkSync(folder, join(parent, 'link'))
      await (await lockFolder(join(parent, 'link'))).release()
      expect(held().pid).toBe(process.pid)
    })
    const lock = await lockFolder(folder)
    await expect(lockFolder(join(parent, 'link'))).rejects.toMatchObject({
      code: 'ERR_RUN_IN_USE',
      message: expect.stringMatching(`in use by this process \\(${process.pid}\\) on .* since 20`),
    })
    expect(await whileHeldHere(folder, async () => 'saved')).toBe('saved')
    await refuseHeldByOthers(folder)
    await lock.release()
  })

  it('refuses by process, host and time what another process holds, and waits where it is told to', async () => {
    const { child, next } = contender()
    expect(await next()).toBe('taken')
    const { since } = held()
    const said = `${folder} is in use by process ${child.pid} on ${hostname()} since ${since}; wait until it has ended, or end it`
    await expect(lockFolder(folder)).rejects.toMatchObject({ code: 'ERR_RUN_IN_USE', message: said })
    await expect(refuseHeldByOthers(folder)).rejects.toThrow(said)
    await expect(whileHeldHere(folder, async () => undefined)).rejects.toThrow(said)
    const stop = new AbortController()
    const stopped = lockFolder(folder, { patience: 60_000, signal: stop.signal })
    stop.abort()
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' })
    const waiting = lockFolder(folder, { patience: 60_000 })
    child.stdin?.end()
    await (await waiting).release()
  })

  it('is taken over from a process that was killed, and not from one that lives', async () => {
    await killedHolder()
    const lock = await lockFolder(folder)
    expect(held().pid).toBe(process.pid)
    expect(readdirSync(folder)).toEqual([lockName])
    await lock.release()
  })

  it.skipIf(process.platform === 'win32')(
    'is given up by a process that a signal or exit() ends',
    async () => {
      for (const end of ['SIGTERM', 'exit'] as const) {
        const { child, next } = contender()
        expect(await next()).toBe('taken')
        if (end === 'exit') child.stdin?.write('exit\n')
        else child.kill(end)
        await once(child, 'exit')
        expect(existsSync(lockPath())).toBe(false)
      }
    },
  )

  it.skipIf(process.platform !== 'linux')('is not held by a later process with the same id', async () => {
    const lock = await lockFolder(folder)
    const text = JSON.stringify({ ...held(), token: 'ab', started: `${held().started}0` })
    await lock.release()
    writeFileSync(lockPath(), text)
    await (await lockFolder(folder)).release()
  })

  it('is never taken from another host', async () => {
    const lock = await lockFolder(folder)
    const text = JSON.stringify({ ...held(), host: 'elsewhere', pid: 2 ** 22 + 1, token: 'ab' })
    await lock.release()
    writeFileSync(lockPath(), text)
    await expect(lockFolder(folder)).rejects.toMatchObject({
      code: 'ERR_RUN_IN_USE',
      message: expect.stringContaining(`where it has ended, delete ${lockPath()}`),
    })
    expect(readFileSync(lockPath(), 'utf8')).toBe(text)
  })

  it.each(['', '{"pid":', '[]', '{"pid":1,"host":"a","since":"b","token":"../../x"}'])(
    'that says %j is refused, not removed',
    async (text) => {
      await (await lockFolder(folder)).release()
      writeFileSync(lockPath(), text)
      await expect(lockFolder(folder)).rejects.toMatchObject({
        code: 'ERR_RUN_IN_USE',
        message: expect.stringContaining(`where no process uses ${folder}, delete the file`),
      })
      expect(readFileSync(lockPath(), 'utf8')).toBe(text)
    },
  )

  it('has one winner among fifty who find a killed holder', { timeout: 120_000 }, async () => {
    {
      await killedHolder()
      // Ten processes that try five times each, at the same moment.
      const processes = Array.from({ length: 10 }, () => contender(5, 'on-demand'))
      for (const { next } of processes) expect(await next()).toBe('ready')
      for (const { child } of processes) child.stdin?.write('start\n')
      const said: string[] = []
      for (const { next } of processes) for (let i = 0; i < 5; i++) said.push(await next())
      expect(said.filter((line) => line === 'taken')).toHaveLength(1)
      expect(said.filter((line) => line.startsWith('ERR_RUN_IN_USE'))).toHaveLength(49)
      const ended = processes.map(({ child }) => once(child, 'exit'))
      for (const { child } of processes) child.stdin?.end()
      await Promise.all(ended)
      expect(readdirSync(folder)).toEqual([])
    }
  })

  it('replaces a lock although who began to replace it was killed too', async () => {
    await killedHolder()
    const dead = held()
    writeFileSync(`${lockPath()}.${dead.token}`, JSON.stringify({ ...dead, token: 'cd' }))
    writeFileSync(join(folder, `.${lockName}-ef`), JSON.stringify({ ...dead, token: 'ef' }))
    const lock = await lockFolder(folder)
    expect(held().pid).toBe(process.pid)
    expect(readdirSync(folder)).toEqual([lockName])
    await lock.release()
  })
})
