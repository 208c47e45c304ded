// The reader that shows what a file of weights holds; native/io reads the weights themselves (test/native/safetensors_test.cpp).
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSafetensorsHeader } from '../../lib/policy/safetensors-header.js'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'hdpo-header-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

function file(header: string, length = BigInt(Buffer.byteLength(header))): string {
  const start = Buffer.alloc(8)
  start.writeBigUInt64LE(length)
  const path = join(root, 'a.safetensors')
  writeFileSync(path, Buffer.concat([start, Buffer.from(header)]))
  return path
}

describe('readSafetensorsHeader', () => {
  it('gives dtype and shape of every tensor', async () => {
    const header =
      '{"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}'
    expect([...(await readSafetensorsHeader(file(header)))]).toMatchObject([
      ['a', { dtype: 'F32', shape: [2, 3] }],
    ])
  })

  it.each<[string, string, bigint | undefined, RegExp]>([
    ['a length beyond the file', '{}', 2n ** 63n, /is not a safetensors file, or was cut off/],
    ['text that is no JSON', '{', undefined, /cannot read the header of .*: not JSON/],
    ['a list', '[]', undefined, /cannot read the header of .*: must hold a JSON object/],
    ['null', 'null', undefined, /cannot read the header of .*: must hold a JSON object/],
    ['a tensor that is null', '{"a": null}', undefined, /tensor 'a' has no dtype and shape/],
    [
      'a shape that is no list',
      '{"a": {"dtype": "F32", "shape": 3}}',
      undefined,
      /tensor 'a' has no dtype and shape/,
    ],
    [
      'a negative size',
      '{"a": {"dtype": "F32", "shape": [-3]}}',
      undefined,
      /tensor 'a' has no dtype and shape/,
    ],
    [
      'a size beyond exact integers',
      '{"a": {"dtype": "F32", "shape": [1e300]}}',
      undefined,
      /tensor 'a' has no/,
    ],
  ])('refuses %s', async (_, header, length, message) => {
    const refused = expect(readSafetensorsHeader(file(header, length))).rejects
    await refused.toThrow(message)
  })

  it('refuses a file of a few bytes', async () => {
    const path = join(root, 'short')
    writeFileSync(path, 'abc')
    await expect(readSafetensorsHeader(path)).rejects.toThrow(/cut off/)
  })
})
