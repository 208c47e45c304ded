// binding.gyp compiles every source of its lists once, alone or in its folder's united source.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

it('leaves no source out and takes none twice', () => {
  const lists = ['native/sources.txt', 'native/no_cuda/sources.txt', 'native/binding/sources.txt']
  const script = join(root, 'scripts', 'united-sources.mjs')
  const printed = execFileSync(process.execPath, [script, ...lists], { encoding: 'utf8' })
    .trim()
    .split('\n')
  expect(printed.every((path) => existsSync(join(root, path)))).toBe(true)
  const united = printed.filter((path) => path.startsWith('build'))
  const folders = read('native/united-folders.txt').trim().split('\n')
  expect(united.map((path) => basename(path, '.cpp')).sort()).toEqual(folders)
  const compiled = printed.flatMap((path) =>
    united.includes(path)
      ? [...read(path).matchAll(/^#include "(.+)"$/gm)].map(([, source]) => `native/${source}`)
      : [path],
  )
  const listed = lists.flatMap((list) => read(list).trim().split('\n'))
  expect(compiled.sort()).toEqual(listed.sort())
})
