// Tests of the code's structure: imports and includes run one way, every native source is in a list that both builds read,
// no file is too long.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, parse } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lossShape } from '../lib/native/loss-options.js'
import { optimizerShape } from '../lib/native/optimizer-options.js'

const root = join(import.meta.dirname, '..')

function filesUnder(folder: string, pattern: RegExp): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => pattern.test(path))
    .map((path) => join(folder, path))
    .sort()
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** 'lib/policy/calls/hermes.ts' -> 'policy', 'lib/families.ts' -> 'families.ts', 'native/cuda/rope.cu' -> 'cuda'. */
const partOf = (path: string): string => path.split('/')[1] as string

// The rooms of lib/ and its entries, lowest floor first: each may import from the floors listed before its own, never from
// another room of its own floor.
const floors = [
  ['core'],
  ['native', 'http'],
  ['hdpo', 'policy', 'tools', 'loggers'],
  ['rollout'],
  ['rewards', 'tasks', 'server'],
  ['families', 'traces', 'evaluation', 'run'],
  ['trainer'],
  ['experiment', 'curation', 'ui'],
  ['index.ts', 'kernels.ts', 'families.ts', 'cli'],
]
const floorOf = (part: string): number => floors.findIndex((floor) => floor.includes(part))

function importsOf(path: string): string[] {
  return [...read(path).matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, target]) =>
    normalize(join(dirname(path), target as string)).replace(/\.js$/, '.ts'),
  )
}

/** Circles of files that import each other, types included, in the order of the circle. */
function circles(files: readonly string[]): string[] {
  const finished = new Set<string>()
  const found: string[] = []
  const visit = (file: string, path: readonly string[]): void => {
    const begin = path.indexOf(file)
    if (begin >= 0) found.push([...path.slice(begin), file].join(' -> '))
    if (begin >= 0 || finished.has(file)) return
    for (const target of importsOf(file)) visit(target, [...path, file])
    finished.add(file)
  }
  for (const file of files) visit(file, [])
  return found
}

describe('lib/', () => {
  const files = filesUnder('lib', /\.ts$/)

  it('has a floor for every room', () => {
    const parts = new Set(files.map(partOf))
    const unplaced = [...parts].filter((part) => floorOf(part) < 0)
    expect(unplaced, 'place these in `floors` of test/house.test.ts').toEqual([])
  })

  it('imports from lower floors alone', () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter(
          (target) => partOf(target) !== partOf(file) && floorOf(partOf(target)) >= floorOf(partOf(file)),
        )
        .map((target) => `${file} imports ${target}`),
    )
    expect(wrong).toEqual([])
  })

  it('imports nothing in a circle, types neither', () => {
    expect(circles(files)).toEqual([])
  })

  it('reaches the addon in native/ alone, the algorithm through its kernels', () => {
    const wrong = files.filter((file) => partOf(file) === 'hdpo').flatMap(importsOf)
    const allowed = ['hdpo', 'native', 'core']
    expect(wrong.filter((target) => !allowed.includes(partOf(target)))).toEqual([])
    const path = 'lib/native/addon-path.ts'
    const naming = files.filter((file) => /\.node['"]/.test(read(file)))
    expect(naming, `${path} alone knows where the addon lies`).toEqual([path])
    const asking = files.filter((file) => importsOf(file).includes(path))
    expect(asking.sort(), 'lib/native/addon.ts alone loads it; hdpo doctor shows it').toEqual([
      'lib/cli/commands/doctor.ts',
      'lib/native/addon.ts',
    ])
  })

  it('imports nothing from outside, which would be missing in the published package', () => {
    const wrong = files.filter((file) => importsOf(file).some((target) => !target.startsWith('lib/')))
    expect(wrong).toEqual([])
  })
})

// Where a TypeError or RangeError is what somebody else's contract asks for. Mistakes of users are InvalidOptionErrors, what cannot
// happen is ERR_INTERNAL.
const platformErrors: Record<string, string> = {
  'lib/tools/sandbox/lockdown.mjs':
    'growing memory beyond a limit throws a RangeError, as WebAssembly.Memory has it',
}

describe('errors', () => {
  const table = [...read('lib/core/error-codes.ts').matchAll(/^ {2}(ERR_[A-Z_]+):/gm)].map(
    ([, code]) => code as string,
  )
  const files = [...filesUnder('lib', /\.(ts|mjs)$/), ...filesUnder('native', /\.(cpp|h|cu)$/)].filter(
    (file) => file !== 'lib/core/error-codes.ts',
  )
  const used = new Map(
    files.flatMap((file) =>
      [...read(file).matchAll(/['"](ERR_[A-Z_]+)['"]/g)].map(([, code]) => [code as string, file] as const),
    ),
  )

  it('of users are InvalidOptionErrors', () => {
    const throwing = filesUnder('lib', /\.(ts|mjs|js)$/).filter((file) =>
      /new (TypeError|RangeError)\(/.test(read(file)),
    )
    expect(throwing).toEqual(Object.keys(platformErrors))
  })

  it('have codes that stand in the table', () => {
    expect([...used].filter(([code]) => !table.includes(code))).toEqual([])
  })

  it('have no codes that nothing raises', () => {
    expect(table.filter((code) => !used.has(code))).toEqual([])
  })
})

// The folders that each folder of native/ may include besides itself. The core builds and tests without Node.
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
  const files = filesUnder('native', /\.(cpp|cu|h)$/)
  const matches = (file: string, pattern: RegExp) =>
    [...read(file).matchAll(pattern)].map((match) => match[1] as string)

  it('includes one way', () => {
    const wrong = files.flatMap((file) => {
      const folder = partOf(file)
      const allowed = [folder, ...(includes[folder] ?? [])]
      return (
        matches(file, /^#include "([^"]+)"/gm)
          .filter((path) => !allowed.includes(path.split('/')[0] as string))
          // Kernels run unchanged in the tests' emulation, where this header takes the place of CUDA's own.
          .filter((path) => file !== 'native/cuda/launch.h' || path !== 'cuda_emulation.h')
          .map((path) => `${file} includes ${path}`)
      )
    })
    expect(wrong).toEqual([])
  })

  it('knows Node in binding/ alone, through one header', () => {
    const site = 'native/binding/napi.h'
    const wrong = files.filter(
      (file) => file !== site && matches(file, /^#include <(napi|node|uv|v8)/gm).length > 0,
    )
    expect(wrong).toEqual([])
    expect(matches(site, /^#include <(napi)\.h>/gm)).toEqual(['napi'])
  })

  it('defines an op in files of one name for the CPU and for CUDA', () => {
    const filesByOp = (folder: string, backend: string) => {
      const definition = new RegExp(`^\\w\\S* ${backend}::(\\w+)\\(`, 'gm')
      return new Map(
        files
          .filter((file) => partOf(file) === folder)
          .flatMap((file) => matches(file, definition).map((op) => [op, parse(file).name] as const)),
      )
    }
    const ops = matches('native/ops/op_list.h', /^virtual \w+ (\w+)\(/gm)
    const cpu = filesByOp('cpu', 'CpuBackend')
    const cuda = filesByOp('cuda', 'CudaBackend')
    expect(ops).toContain('attention')
    expect(ops.map((op) => `${op}: ${cuda.get(op)} on CUDA`)).toEqual(
      ops.map((op) => `${op}: ${cpu.get(op) ?? 'no file of the CPU'} on CUDA`),
    )
  })

  it('reads the options of loss and optimiser that lib/native has, by their names', () => {
    const binding = filesUnder('native/binding', /\.cpp$/)
    const readAs = (name: string) =>
      binding.flatMap((file) => matches(file, new RegExp(`\\(\\w+, "${name}\\.(\\w+)"`, 'g'))).sort()
    expect(readAs('loss')).toEqual(Object.keys(lossShape).sort())
    expect(readAs('optimizer')).toEqual(Object.keys(optimizerShape).sort())
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
    ...filesUnder('native', /\.(cpp|cu|h)$/),
  ]

  it(`has at most ${longest} lines`, () => {
    const lines = all.map((file) => [file, read(file).split('\n').length - 1] as const)
    expect(lines.filter(([, count]) => count > longest)).toEqual([])
  })

  it('has a name that says what is in it', () => {
    expect(all.filter((file) => /\b(utils?|helpers?|common|misc|manager)\b/i.test(file))).toEqual([])
  })
})
