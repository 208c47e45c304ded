// Prints the sources in the named lists for binding.gyp, which cannot do this itself. Each folder of native/united-folders.txt
// becomes one source that includes those of the folder. CMakeLists.txt does the same.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { root } from './command.mjs'

const read = (path) => readFileSync(join(root, path), 'utf8').trim().split('\n')

const united = read(join('native', 'united-folders.txt'))
const included = new Map()
for (const source of process.argv.slice(2).flatMap(read)) {
  const folder = basename(dirname(source))
  if (united.includes(folder)) included.set(folder, [...(included.get(folder) ?? []), source])
  else console.log(source)
}
for (const [folder, sources] of included) {
  const path = join('build', 'united', `${folder}.cpp`)
  const lines = sources.map((source) => `#include "${source.replace(/^native\//, '')}"\n`)
  mkdirSync(join(root, dirname(path)), { recursive: true })
  writeFileSync(join(root, path), lines.join(''))
  console.log(path)
}
