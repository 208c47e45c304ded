import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CheckpointStore } from '../../lib/run/checkpoint.js'

let folder: string
let warnings: string[]

beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'hdpo-checkpoint-')), 'checkpoints')
  warnings = []
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const open = (keep = 3) => CheckpointStore.open(folder, { keep, warn: (message) => warnings.push(message) })

function writeWeights(content: string) {
  return async (path: string) => {
    await writeFile(join(path, 'model.safetensors'), content)
    await mkdir(join(path, 'nested'))
    await writeFile(join(path, 'nested', 'state.json'), '{}')
  }
}

describe('CheckpointStore', () => {
  it('finds the newest checkpoint by number, not by name', async () => {
    const store = await open()
    await store.save(9, writeWeights('nine'))
    await store.save(10, writeWeights('ten'))
    expect(await store.latest()).toEqual({ step: 10, folder: join(folder, 'step-10') })
  })

  it('has none in a new folder', async () => {
    expect(await (await open()).latest()).toBeUndefined()
  })

  it('keeps the newest `keep`', async () => {
    const store = await open(2)
    for (const step of [1, 2, 3, 4]) await store.save(step, writeWeights(`${step}`))
    expect(await store.steps()).toEqual([3, 4])
  })

  it('leaves nothing under the final name when writing fails', async () => {
    const store = await open()
    await expect(
      store.save(5, async (path) => {
        await writeFile(join(path, 'model.safetensors'), 'half')
        throw new Error('disk full')
      }),
    ).rejects.toThrow('disk full')
    expect(await store.steps()).toEqual([])
    expect(await store.latest()).toBeUndefined()
  })

  it('removes what an interrupted write left, and says so', async () => {
    await mkdir(join(folder, 'step-7.partial-4242'), { recursive: true })
    await writeFile(join(folder, 'step-7.partial-4242', 'model.safetensors'), 'half')
    await open()
    expect(await readdir(folder)).toEqual([])
    expect(warnings).toEqual([expect.stringContaining('step-7.partial-4242')])
  })

  const damages: [string, string, (checkpoint: string) => Promise<unknown>][] = [
    ['a cut-off file', 'has 1 bytes instead of 3', (path) => truncate(join(path, 'model.safetensors'), 1)],
    [
      'a changed file',
      'does not match its SHA-256',
      (path) => writeFile(join(path, 'model.safetensors'), 'tEn'),
    ],
    ['a missing file', 'nested/state.json is missing', (path) => rm(join(path, 'nested', 'state.json'))],
    ['no manifest', 'manifest.json is missing', (path) => rm(join(path, 'manifest.json'))],
    ['a cut-off manifest', 'manifest.json is not JSON', (path) => truncate(join(path, 'manifest.json'), 20)],
  ]
  it.each(damages)('refuses %s by name and uses the one before', async (_, reason, damage) => {
    const store = await open()
    await store.save(9, writeWeights('nine'))
    const { folder: newest } = await store.save(10, writeWeights('ten'))
    await damage(newest)
    expect(await store.latest()).toEqual({ step: 9, folder: join(folder, 'step-9') })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(newest)
    expect(warnings[0]).toContain(reason)
  })

  it('replaces a damaged checkpoint of the same step', async () => {
    const store = await open()
    const { folder: damaged } = await store.save(10, writeWeights('ten'))
    await truncate(join(damaged, 'model.safetensors'), 1)
    await store.save(10, writeWeights('TEN'))
    expect(await store.latest()).toMatchObject({ step: 10 })
    expect(warnings).toEqual([])
  })

  it('never deletes the checkpoint it has just written for the sake of damaged newer ones', async () => {
    const store = await open(1)
    await mkdir(join(folder, 'step-20'))
    await store.save(15, writeWeights('fifteen'))
    expect(await store.latest()).toMatchObject({ step: 15 })
  })
})
