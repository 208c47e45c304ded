// Checks style and types of the whole tree: biome, clang-format, tsc. --write formats instead of complaining.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { main, root, run } from './command.mjs'
import { setUp } from './set-up.mjs'
import { testPackages } from './system-packages.mjs'

export async function lint({ write = false } = {}) {
  await setUp({ packages: testPackages, addon: false })
  const installed = (name) => join(root, 'node_modules', '.bin', name)
  run(installed('biome'), ['check', '--error-on-warnings', ...(write ? ['--write'] : [])])
  run('clang-format', [...(write ? ['-i'] : ['--dry-run', '-Werror']), ...nativeFiles()])
  run(installed('tsc'), ['--project', root])
}

function nativeFiles() {
  return ['native', join('test', 'native'), join('test', 'fuzz', 'native')].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .filter((file) => /\.(cpp|h|cu)$/.test(file))
      .map((file) => join(folder, file)),
  )
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(() => lint({ write: process.argv.includes('--write') }))
}
