// Where the native addon lies: built here, or installed by npm for this system, in a package of its own (scripts/prebuild.mjs makes
// it). That package has one build per generation of processors; the newest that this processor can run is taken.
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HdpoError } from '../core/errors.js'

// A clone runs the TypeScript sources, an installed package what they compile to.
export const buildCommand = import.meta.url.endsWith('.ts') ? 'npm run build' : 'npx hdpo build'

interface Processor {
  /** The name that g++ -march takes. */
  name: string
  /** Flags that /proc/cpuinfo has to list. */
  flags: string[]
}

interface PrebuiltList {
  package: string
  /** The newest first. */
  processors: Processor[]
}

/** Path of the addon that was built here, which suits this machine best, else of the one that npm has installed. */
export function addonPath(): string {
  const root = packageRoot()
  const built = join(root, 'build', 'Release', 'hdpo.node')
  if (existsSync(built)) return built
  const prebuilt = findPrebuilt(root)
  if ('path' in prebuilt) return prebuilt.path
  throw new HdpoError(
    'ERR_ADDON',
    `there is no native addon: none has been built here (${built}), and ${prebuilt.missing}; run "${buildCommand}"`,
  )
}

// lib/native when run from source, dist/native when installed: both two folders below package.json.
function packageRoot(): string {
  return join(dirname(fileURLToPath(import.meta.url)), '..', '..')
}

/** Where the addon is, or why there is none, as the end of a sentence. */
type Prebuilt = { path: string } | { missing: string }

/** `root`: the folder of package.json; the addon's package is resolved from there, as node resolves packages. */
export function findPrebuilt(root: string, flags: () => Set<string> = processorFlags): Prebuilt {
  const list = JSON.parse(readFileSync(join(root, 'native', 'prebuilt.json'), 'utf8')) as PrebuiltList
  const folder = folderOf(list.package, root)
  if (folder === undefined) return { missing: `${list.package} is not installed (${platform()})` }
  const has = flags()
  const runnable = list.processors.filter((processor) => processor.flags.every((flag) => has.has(flag)))
  const path = runnable.map(({ name }) => join(folder, name, 'hdpo.node')).find((file) => existsSync(file))
  return path === undefined
    ? { missing: `${list.package} has no build that this processor can run (AVX2 is the least)` }
    : { path }
}

function folderOf(name: string, root: string): string | undefined {
  try {
    return dirname(createRequire(join(root, 'package.json')).resolve(`${name}/package.json`))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}

function platform(): string {
  return `it is for Linux on x86-64 with glibc; this is ${process.platform} on ${process.arch}`
}

/** Empty where the system has no /proc: no installed build is for such a system. */
export function processorFlags(): Set<string> {
  const path = '/proc/cpuinfo'
  if (!existsSync(path)) return new Set()
  const line = /^flags\s*:(.*)$/m.exec(readFileSync(path, 'utf8'))
  return new Set(line?.[1]?.trim().split(/\s+/))
}
