import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { findPrebuilt, processorFlags } from '../../lib/native/addon-path.js'
import list from '../../native/prebuilt.json' with { type: 'json' }

const repository = fileURLToPath(new URL('../..', import.meta.url))
const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

/** Makes an installed hdpo with the platform's package, which has `builds` for these processors; undefined: without the package. */
function installed(builds?: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'hdpo-prebuilt-'))
  folders.push(folder)
  const root = join(folder, 'node_modules', 'hdpo')
  const write = (path: string, text: string) => {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
  write(join(root, 'package.json'), '{ "name": "hdpo" }')
  write(join(root, 'native', 'prebuilt.json'), JSON.stringify(list))
  if (!builds) return root
  const platform = join(folder, 'node_modules', ...list.package.split('/'))
  write(join(platform, 'package.json'), JSON.stringify({ name: list.package }))
  for (const name of builds) write(join(platform, name, 'hdpo.node'), '')
  return root
}

const flagsOf = (name: string) => () =>
  new Set(list.processors.find((processor) => processor.name === name)?.flags)
const all = list.processors.map(({ name }) => name)

test.each(all)('a processor like %s takes the build for it', (name) => {
  expect(findPrebuilt(installed(all), flagsOf(name))).toEqual({
    path: expect.stringContaining(join(list.package, name, 'hdpo.node')),
  })
})

test('the newest build that there is and that the processor can run', () => {
  expect(findPrebuilt(installed(['x86-64-v3', 'cooperlake']), flagsOf('x86-64-v4'))).toEqual({
    path: expect.stringContaining(join('x86-64-v3', 'hdpo.node')),
  })
})

test('says what is missing: the package, or a build for an old processor', () => {
  expect(findPrebuilt(installed(), flagsOf('x86-64-v4'))).toEqual({
    missing: expect.stringMatching(/@hdpo\/linux-x64 is not installed \(it is for Linux on x86-64/),
  })
  expect(findPrebuilt(installed(all), () => new Set(['sse4_2']))).toEqual({
    missing: expect.stringMatching(/no build that this processor can run/),
  })
})

test('each generation of processors has what the one after it in the list has', () => {
  for (const [newer, older] of list.processors
    .slice(1)
    .map((older, index) => [list.processors[index], older])) {
    expect(newer?.flags).toEqual(expect.arrayContaining(older?.flags ?? []))
  }
})

test.runIf(process.platform === 'linux' && process.arch === 'x64')(
  'reads the flags of this processor',
  () => {
    expect(processorFlags()).toContain('sse2')
    expect(findPrebuilt(repository)).toEqual({ missing: expect.stringContaining('is not installed') })
  },
)
