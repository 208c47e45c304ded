import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { readMetrics } from '../../lib/run/metrics-file.js'
import { RunFolder } from '../../lib/run/run-folder.js'

let path: string
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'hdpo-run-'))
})
afterEach(() => rm(path, { recursive: true, force: true }))

let last: RunFolder | undefined
/** The run of an earlier process has ended by then. */
async function open(resume: boolean): Promise<RunFolder> {
  await last?.close()
  last = await RunFolder.open(path, { resume, keepCheckpoints: 2, warn: () => {} })
  return last
}

describe('RunFolder', () => {
  it('forgets on resume what came after the checkpoint, a half-written line included', async () => {
    const run = await open(false)
    for (const step of [1, 2]) {
      await run.appendMetrics({ step })
      await run.writeRollouts(step, [{ step }])
    }
    await run.saveCheckpoint(2, async () => {})
    await run.appendMetrics({ step: 3 })
    await run.writeRollouts(3, [{ step: 3 }])
    await appendFile(join(path, 'metrics.jsonl'), '{"step":4,"accu')

    const resumed = await open(true)
    expect(resumed.resumedFrom?.step).toBe(2)
    await resumed.goBackToCheckpoint()
    expect(await readFile(join(path, 'metrics.jsonl'), 'utf8')).toBe('{"step":1}\n{"step":2}\n')
    expect(await readFile(resumed.rolloutsPath(2), 'utf8')).toBe('{"step":2}\n')
    await expect(readFile(resumed.rolloutsPath(3))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('starts over on resume when there is no checkpoint yet', async () => {
    const run = await open(false)
    await run.appendMetrics({ step: 1 })
    const resumed = await open(true)
    expect(resumed.resumedFrom).toBeUndefined()
    await resumed.goBackToCheckpoint()
    expect(await readMetrics(path)).toEqual([])
  })

  it.each([
    ['a missing step', '{"step":1}\n{"step":3}\n', 'metrics.jsonl:2: is of step 3, but step 2 is due'],
    [
      'a step twice',
      '{"step":1}\n{"step":1}\n{"step":2}\n{"step":3}\n',
      'metrics.jsonl:2: is of step 1, but step 2 is due',
    ],
    [
      'another order',
      '{"step":2}\n{"step":1}\n{"step":3}\n',
      'metrics.jsonl:1: is of step 2, but step 1 is due',
    ],
    ['a missing end', '{"step":1}\n{"step":2}\n', 'metrics.jsonl: has no line for step 3'],
    [
      'a half last line that the checkpoint needs',
      '{"step":1}\n{"step":2}\n{"step":3',
      'metrics.jsonl: has no line for step 3',
    ],
    ['nothing', '', 'metrics.jsonl: has no line for step 1'],
    ['a half line', '{"step":1}\n{"step":2,"acc{"step":3}\n', 'metrics.jsonl:2 is not JSON'],
    ['an empty line', '{"step":1}\n\n{"step":2}\n{"step":3}\n', 'metrics.jsonl:2 is not JSON'],
    ['what is no metrics', '{"step":1}\nnull\n{"step":3}\n', 'metrics.jsonl:2 is no metrics of a step'],
    ['a step that is text', '{"step":"1"}\n', 'metrics.jsonl:1 is no metrics of a step'],
  ])('refuses to go on with %s in its metrics, and changes nothing', async (_, text, said) => {
    const run = await open(false)
    await run.saveCheckpoint(3, async () => {})
    await run.writeRollouts(4, [{ step: 4 }])
    await writeFile(join(path, 'metrics.jsonl'), text)
    const going = async () => (await open(true)).goBackToCheckpoint()
    await expect(going()).rejects.toMatchObject({
      code: 'ERR_RUN_FOLDER',
      message: expect.stringContaining(said),
    })
    expect(await readFile(join(path, 'metrics.jsonl'), 'utf8')).toBe(text)
    expect(await readFile(run.rolloutsPath(4), 'utf8')).toBe('{"step":4}\n')
  })

  it('refuses a folder that holds a run unless it is to be resumed', async () => {
    await (await open(false)).appendMetrics({ step: 1 })
    await expect(open(false)).rejects.toMatchObject({
      code: 'ERR_RUN_EXISTS',
      message: expect.stringContaining(path),
    })
  })

  it('writes typed arrays as lists that give the same float32 back', async () => {
    const run = await open(false)
    const logprobs = Float32Array.of(-0.1, -1e-7, -12.345678)
    await run.writeRollouts(1, [{ tokens: Int32Array.of(5, 6), logprobs }])
    const read = JSON.parse(await readFile(run.rolloutsPath(1), 'utf8'))
    expect(read.tokens).toEqual([5, 6])
    expect(Float32Array.from(read.logprobs)).toEqual(logprobs)
  })

  it('writes whole events after half a line that a crash left', async () => {
    const run = await open(false)
    await run.appendEvent({ level: 'warning', message: 'one' })
    await run.close()
    await appendFile(join(path, 'events.jsonl'), '{"time":"2026-')
    const resumed = await open(true)
    await resumed.appendEvent({ level: 'warning', message: 'two' })
    const lines = (await readFile(join(path, 'events.jsonl'), 'utf8')).trim().split('\n')
    expect(lines.map((line) => JSON.parse(line).message)).toEqual(['one', 'two'])
    await resumed.close()
  })

  it('names the line of a damaged metrics.jsonl', async () => {
    await open(false)
    await appendFile(join(path, 'metrics.jsonl'), '{"step":1}\nbroken\n')
    await expect(readMetrics(path)).rejects.toMatchObject({
      code: 'ERR_RUN_FOLDER',
      message: expect.stringContaining('metrics.jsonl:2'),
    })
  })
})

describe('secrets', () => {
  const secret = 'swordfish-1234567'
  beforeEach(() => vi.stubEnv('MY_SERVICE_TOKEN', secret))
  afterEach(() => vi.unstubAllEnvs())

  it('reach no file of the run folder', async () => {
    const run = await open(false)
    await run.writeConfig({ judge: { key: secret, nested: [secret] }, steps: 3 })
    await run.appendMetrics({ step: 1, note: `used ${secret}` } as { step: number })
    await run.appendEvent({ level: 'error', message: `HTTP 401: ${secret}`, code: 'ERR_REWARD' })
    await run.writeRollouts(1, [
      { id: 'clean', tokens: Int32Array.of(1, 2) },
      {
        id: 'leaky',
        messages: [{ content: `the key is ${secret}` }],
        tokens: Int32Array.of(3),
        moreSequences: [],
      },
    ])
    await run.close()
    const files = (await readdir(path, { recursive: true, withFileTypes: true })).filter((entry) =>
      entry.isFile(),
    )
    const texts = await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name), 'utf8')))
    expect(files.map(({ name }) => name).sort()).toEqual([
      'config.yaml',
      'events.jsonl',
      'metrics.jsonl',
      'step-000001.jsonl',
    ])
    for (const text of texts) {
      expect(text).not.toContain(secret)
      expect(text).toContain('[redacted]')
    }
    const [clean, leaky] = (await readFile(run.rolloutsPath(1), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(clean).toEqual({ id: 'clean', tokens: [1, 2] })
    // The tokens are left out, because they spell the secret.
    expect(leaky).toEqual({ id: 'leaky', messages: [{ content: 'the key is [redacted]' }], redacted: true })
  })
})

it('describes a config that text cannot hold', async () => {
  const run = await open(false)
  const answer = () => true
  await run.writeConfig({
    reward: { answer },
    tasks: Array(100).fill({}),
    pattern: /a/,
    none: undefined,
    seed: 3,
  })
  expect(parse(await readFile(join(path, 'config.yaml'), 'utf8'))).toEqual({
    reward: { answer: '[function answer]' },
    tasks: '[100 items]',
    pattern: '/a/',
    seed: 3,
  })
})
