import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LineFile } from '../../lib/core/line-file.js'

/** How many bytes of a line the disk still takes. */
const disk = vi.hoisted(() => ({ room: Number.POSITIVE_INFINITY }))
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>()
  const appendFile = async (path: string, line: string) => {
    await real.appendFile(path, line.slice(0, disk.room))
    if (line.length <= disk.room) return
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
  }
  return { ...real, appendFile }
})

let folder: string
let path: string
const warnings: string[] = []
const warn = (message: string) => void warnings.push(message)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-lines-'))
  path = join(folder, 'lines.jsonl')
  warnings.length = 0
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const text = () => readFile(path, 'utf8')

describe('a file whose writer was killed', () => {
  it.each([
    ['half a line', '{"a":1}\n{"b":"h', '{"a":1}\n', 7],
    ['half a first line', '{"a":', '', 5],
    ['half a character', Buffer.from([...Buffer.from('{"a":1}\n{"b":"'), 0xc3]), '{"a":1}\n', 7],
    ['half a line that is longer than a block', `{"a":1}\n"${'x'.repeat(200_000)}`, '{"a":1}\n', 200_001],
  ])('loses %s, and says so', async (_, content, kept, bytes) => {
    await writeFile(path, content)
    const file = await LineFile.open(path, warn)
    expect(warnings).toEqual([
      `${path}: its last line was cut off when its writer ended; these ${bytes} bytes are removed`,
    ])
    await file.append('{"c":3}\n')
    expect(await text()).toBe(`${kept}{"c":3}\n`)
  })

  it.each([
    ['a whole line without its newline', '{"a":1}\n{"b":2}', '{"a":1}\n{"b":2}\n'],
    ['whole lines', '{"a":1}\n', '{"a":1}\n'],
    ['nothing', '', ''],
  ])('keeps %s', async (_, content, kept) => {
    await writeFile(path, content)
    const file = await LineFile.open(path, warn)
    await file.append('{"c":3}\n')
    expect(await text()).toBe(`${kept}{"c":3}\n`)
    expect(warnings).toEqual([])
  })
})

it('writes lines that come at once one after the other', async () => {
  const file = await LineFile.open(path, warn)
  const lines = Array.from({ length: 50 }, (_, index) => `${index}:${'x'.repeat(index * 1000)}\n`)
  await Promise.all(lines.map((line) => file.append(line)))
  expect(await text()).toBe(lines.join(''))
})

it('takes back the part of a line that a full disk took', async () => {
  const file = await LineFile.open(path, warn)
  await file.append('{"a":1}\n')
  disk.room = 4
  const [first, second] = await Promise.allSettled([file.append('{"b":2}\n'), file.append('{"c":3}\n')])
  expect([first.status, second.status]).toEqual(['rejected', 'rejected'])
  expect(await text()).toBe('{"a":1}\n')
  disk.room = Number.POSITIVE_INFINITY
  await file.append('{"d":4}\n')
  expect(await text()).toBe('{"a":1}\n{"d":4}\n')
})

it('says why a line could not be written, and goes on once it can', async () => {
  await symlink('/dev/full', path)
  const file = await LineFile.open(path, warn)
  await expect(file.append('1\n')).rejects.toMatchObject({
    code: 'ERR_SYSTEM',
    message: `cannot write ${path}: the disk is full (ENOSPC)`,
  })
  await rm(path)
  await file.append('2\n')
  expect(await text()).toBe('2\n')
})
