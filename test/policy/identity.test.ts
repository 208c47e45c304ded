// What a policy says of itself when a run is resumed: all that decides its numbers and is in no checkpoint.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Policy, type PolicyOptions } from '../../lib/policy/policy.js'
import { firstDifference } from '../../lib/run/run-identity.js'
import { writeModelFolder } from './model-folders.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdpo-identity-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function identityOf(name: string, options: PolicyOptions = {}): Promise<Record<string, unknown>> {
  const policy = await Policy.load(join(folder, name), { threads: 1, ...options })
  try {
    return JSON.parse(JSON.stringify(await policy.identity()))
  } finally {
    await policy.close()
  }
}

async function changed(
  name: string,
  file: string,
  change: (text: string) => string,
  options?: PolicyOptions,
) {
  await writeModelFolder(join(folder, name), { seed: 1 })
  const path = join(folder, name, file)
  const [before, after] = [readFileSync(path, 'utf8'), change(readFileSync(path, 'utf8'))]
  expect(after).not.toBe(before)
  writeFileSync(path, after)
  return differing(await identityOf(name, options), options)
}

async function differing(now: Record<string, unknown>, options?: PolicyOptions) {
  await writeModelFolder(join(folder, 'was'), { seed: 1 })
  return firstDifference(await identityOf('was', options), now)?.name
}

describe('the identity of a policy', () => {
  it('does not depend on where the model is', async () => {
    await writeModelFolder(join(folder, 'elsewhere'), { seed: 1 })
    expect(await differing(await identityOf('elsewhere'))).toBeUndefined()
  })

  it.each<[string, PolicyOptions]>([
    ['kvPrecision', { kvPrecision: 'bfloat16' }],
    ['precision', { precision: 'bfloat16' }],
    ['generationPrecision', { generationPrecision: 'int8' }],
    ['template.toolFormat', { toolFormat: 'llama3-json' }],
  ])('has the option %s', async (name, options) => {
    await writeModelFolder(join(folder, 'same'), { seed: 1 })
    expect(await differing(await identityOf('same', options))).toBe(name)
  })

  it.each<[string, string, (text: string) => string]>([
    ['config.rmsNormEpsilon', 'config.json', (text) => text.replace(/("rms_norm_eps":)[^,]+/, '$10.001')],
    ['template.source', 'tokenizer_config.json', (text) => text.replace('assistant', 'assistant ')],
    ['tokenizer', 'tokenizer.json', (text) => text.replace('"merges"', '"unused":1,"merges"')],
  ])('has %s of the folder', async (name, file, change) => {
    expect(await changed(name, file, change)).toBe(name)
  })

  it('of an adapter has every byte of its base', async () => {
    const options = { lora: { rank: 2 } }
    await writeModelFolder(join(folder, 'base'), { seed: 1 })
    const path = join(folder, 'base', 'model.safetensors')
    const bytes = readFileSync(path)
    const at = Math.floor(bytes.length * 0.777)
    bytes[at] = (bytes[at] as number) ^ 1
    writeFileSync(path, bytes)
    expect(await differing(await identityOf('base', options), options)).toBe('base')
    const other = await identityOf('was', { lora: { rank: 2, alpha: 3 } })
    expect(await differing(other, options)).toBe('lora.alpha')
  })
})
