// The house keeps its shape by itself: imports and includes run one way, every native source is in a list that both builds
// read, no file grows without end.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')

function filesUnder(folder: string, pattern: RegExp): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => pattern.test(path))
    .map((path) => join(folder, path))
    .sort()
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** 'lib/policy/policy.ts' -> 'policy', 'lib/native.ts' -> 'native'. */
const partOf = (path: string): string => (path.split('/')[1] as string).replace(/\.[jt]s$/, '')

// Folders and files of lib/, lowest first: each may import what stands above it here, never one of its own line.
const layers = [
  ['errors', 'secrets', 'stop-signal'],
  ['addon-path'],
  ['native', 'http'],
  ['kernels', 'judge', 'loggers'],
  ['hdpo', 'policy', 'tools'],
  ['rollout'],
  ['rewards', 'server', 'store'],
  ['tasks', 'export'],
  ['traces'],
  ['trainer'],
  ['curation', 'compare', 'evaluation', 'ui'],
  ['index'],
  ['cli'],
]
const layerOf = (part: string): number => layers.findIndex((layer) => layer.includes(part))

function importsOf(path: string): string[] {
  return [...read(path).matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, target]) =>
    normalize(join(dirname(path), target as string)),
  )
}

describe('lib/', () => {
  const files = filesUnder('lib', /\.ts$/)

  it('has a layer for every folder', () => {
    const parts = new Set(files.map(partOf))
    const unplaced = [...parts].filter((part) => layerOf(part) < 0)
    expect(unplaced, 'place these in `layers` of test/house.test.ts').toEqual([])
  })

  it('imports from lower layers alone', () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter(
          (target) => partOf(target) !== partOf(file) && layerOf(partOf(target)) >= layerOf(partOf(file)),
        )
        .map((target) => `${file} imports ${target}`),
    )
    expect(wrong).toEqual([])
  })

  it('reaches the addon and the algorithm through native.ts', () => {
    const wrong = files.filter((file) => partOf(file) === 'hdpo').flatMap(importsOf)
    const allowed = ['hdpo', 'native', 'kernels', 'errors']
    expect(wrong.filter((target) => !allowed.includes(partOf(target)))).toEqual([])
    const naming = files.filter((file) => /\.node['"]/.test(read(file)))
    expect(naming, 'lib/addon-path.ts alone knows where the addon lies').toEqual(['lib/addon-path.ts'])
    const asking = files.filter((file) => importsOf(file).some((target) => partOf(target) === 'addon-path'))
    expect(asking.sort(), 'lib/native.ts alone loads it; hdpo doctor shows it').toEqual([
      'lib/cli/doctor.ts',
      'lib/native.ts',
    ])
  })

  it('is not imported by a folder that it should not know', () => {
    const wrong = files.filter((file) => importsOf(file).some((target) => !target.startsWith('lib/')))
    expect(wrong, 'imports from outside lib/ would be missing in the published package').toEqual([])
  })
})

// What each folder of native/ may include beside itself. The core builds and tests without Node.
const includes: Record<string, string[]> = {
  core: [],
  ops: ['core'],
  cpu: ['core', 'ops'],
  cuda: ['core', 'ops'],
  no_cuda: ['core', 'ops'],
  self_test: ['core', 'ops', 'model', 'generation'],
  io: ['core'],
  model: ['core', 'ops'],
  generation: ['core', 'ops', 'model'],
  training: ['core', 'ops', 'model', 'io'],
  binding: ['core', 'ops', 'io', 'model', 'generation', 'training', 'self_test'],
}

describe('native/', () => {
  const files = filesUnder('native', /\.(cpp|h)$/)
  const included = (file: string, pattern: RegExp) =>
    [...read(file).matchAll(pattern)].map((match) => match[1] as string)

  it('includes one way', () => {
    const wrong = files.flatMap((file) => {
      const folder = partOf(file)
      const allowed = [folder, ...(includes[folder] ?? [])]
      return (
        included(file, /^#include "([^"]+)"/gm)
          .filter((path) => !allowed.includes(path.split('/')[0] as string))
          // Kernels run in the tests' emulation as they are; this header stands in for CUDA's own there.
          .filter((path) => file !== 'native/cuda/launch.h' || path !== 'cuda_emulation.h')
          .map((path) => `${file} includes ${path}`)
      )
    })
    expect(wrong).toEqual([])
  })

  it('knows Node in binding/ alone, through one header', () => {
    const site = 'native/binding/napi.h'
    const wrong = files.filter(
      (file) => file !== site && included(file, /^#include <(napi|node|uv|v8)/gm).length > 0,
    )
    expect(wrong).toEqual([])
    expect(included(site, /^#include <(napi)\.h>/gm)).toEqual(['napi'])
  })

  it('is listed, file by file, for both builds', () => {
    const listed = (path: string) => read(path).trim().split('\n')
    const core = listed('native/sources.txt')
    const sources = filesUnder('native', /\.(cpp|cu)$/)
    const ownLists = ['binding', 'cuda', 'no_cuda']
    expect([...core].sort()).toEqual(sources.filter((file) => !ownLists.includes(partOf(file))))
    for (const part of ownLists) {
      expect(listed(`native/${part}/sources.txt`).sort()).toEqual(
        sources.filter((file) => partOf(file) === part),
      )
    }
  })
})

describe('every file', () => {
  const longest = 500
  const all = [
    ...['lib', 'test', 'bench', 'scripts', 'examples']
      .filter((folder) => existsSync(join(root, folder)))
      .flatMap((folder) => filesUnder(folder, /\.(ts|mjs|cpp|h|py)$/)),
    ...filesUnder('native', /\.(cpp|h)$/),
  ]

  it(`has at most ${longest} lines`, () => {
    const lines = all.map((file) => [file, read(file).split('\n').length - 1] as const)
    expect(lines.filter(([, count]) => count > longest)).toEqual([])
  })

  it('has a name that says what is in it', () => {
    expect(all.filter((file) => /\b(utils?|helpers?|common|misc|manager)\b/i.test(file))).toEqual([])
  })
})
