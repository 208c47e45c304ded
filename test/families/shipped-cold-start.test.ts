import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HdpoError } from '../../lib/core/errors.js'
import {
  checkShippedWeights,
  isColdStartShipped,
  readShippedColdStart,
  shippedColdStartPaths,
} from '../../lib/families/shipped-cold-start.js'

const shipped = await readShippedColdStart('atlas')
const { weights } = shippedColdStartPaths('atlas')

describe('the cold start that comes with hdpo', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hdpo-test-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('is of one seed', () => {
    expect(isColdStartShipped('atlas', 0)).toBe(true)
    expect(isColdStartShipped('atlas', 1)).toBe(false)
    expect(isColdStartShipped('cities', 0)).toBe(false)
    expect(shipped).toMatchObject({ environment: 'atlas', seed: 0 })
  })

  it('has the hash that is said of it', async () => {
    expect(await checkShippedWeights(shipped)).toBe(weights)
  })

  it('is refused by name when a byte of it is another', async () => {
    const bytes = await readFile(weights)
    const last = bytes.length - 1
    bytes[last] = (bytes[last] as number) ^ 1
    const path = join(folder, 'changed.safetensors')
    await writeFile(path, bytes)
    const error = await checkShippedWeights(shipped, path).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(HdpoError)
    expect(error).toMatchObject({ code: 'ERR_COLD_START' })
    const { message } = error as HdpoError
    for (const part of [path, shipped.sha256, '--from-scratch']) expect(message).toContain(part)
  })

  it('is an error that says what to do when it is not there', async () => {
    const path = join(folder, 'missing.safetensors')
    await expect(checkShippedWeights(shipped, path)).rejects.toMatchObject({
      code: 'ERR_COLD_START',
      message: expect.stringMatching(/missing\.safetensors.*\(ENOENT\).*--from-scratch/),
    })
  })

  it('is made by commands that there are', async () => {
    const manifest = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
    const { scripts } = JSON.parse(manifest) as { scripts: Record<string, string> }
    for (const command of shipped.commands) {
      expect(Object.keys(scripts)).toContain(/^npm run (\S+) -- /.exec(command)?.[1])
    }
  })
})
