import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cacheKey, FolderCache } from '../../lib/core/folder-cache.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdpo-cache-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const parse = (kept: unknown) => (typeof kept === 'number' ? kept : undefined)
const key = cacheKey('what is asked', { of: 'whom' })
const pathOf = () => join(folder, key.slice(0, 2), `${key}.json`)

describe('FolderCache', () => {
  it('keeps a value under what was asked, for other processes too', async () => {
    const cache = new FolderCache(folder, { parse })
    expect(await cache.read(key)).toBeUndefined()
    await cache.write(key, 42)
    expect(await new FolderCache(folder, { parse }).read(key)).toBe(42)
    expect(await cache.read(cacheKey('what is asked', { of: 'somebody else' }))).toBeUndefined()
    expect(readdirSync(folder)).toEqual([key.slice(0, 2)])
  })

  it('has nothing in a broken file, nor in one that is no value, and replaces it', async () => {
    const cache = new FolderCache(folder, { parse })
    await cache.write(key, 1)
    for (const broken of ['', '{"cut o', '"text"', 'null']) {
      writeFileSync(pathOf(), broken)
      expect(await cache.read(key)).toBeUndefined()
    }
    await cache.write(key, 2)
    expect(await cache.read(key)).toBe(2)
  })

  it('forgets what is too old, where it is told an age', async () => {
    await new FolderCache(folder, { parse }).write(key, 1)
    utimesSync(pathOf(), new Date(), new Date(Date.now() - 60_000))
    expect(await new FolderCache(folder, { parse, maxAge: 30_000 }).read(key)).toBeUndefined()
    expect(await new FolderCache(folder, { parse, maxAge: 90_000 }).read(key)).toBe(1)
    expect(await new FolderCache(folder, { parse }).read(key)).toBe(1)
  })
})
