// Installs the npm dependencies when node_modules does not hold what package-lock.json asks for.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, run, SetUpError } from './command.mjs'
import { nodeHeadersFolder } from './node-headers.mjs'

const sqlite = join(root, 'node_modules', 'better-sqlite3', 'build', 'Release', 'better_sqlite3.node')

/** Runs no install scripts: better-sqlite3 alone has one that matters, and it may compile for a minute (see buildSqlite). */
export async function installNodeModules(execute = run) {
  await execute('npm', ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'])
  linkCommand()
}

/** npm links the commands of packages that it installs, not the package's own: with this, `npx hdpo` works in a clone too. */
function linkCommand() {
  const script = `#!/bin/sh
# Runs hdpo from its source, in the clone that this stands in.
clone="$(dirname "$0")/../.."
exec node "$clone/node_modules/tsx/dist/cli.mjs" "$clone/lib/cli/main.ts" "$@"
`
  writeFileSync(join(root, 'node_modules', '.bin', 'hdpo'), script, { mode: 0o755 })
}

// npm leaves the list of what it has installed in node_modules.
export function nodeModulesMatchLock() {
  const installedPath = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(installedPath)) return false
  const installed = JSON.parse(readFileSync(installedPath, 'utf8')).packages
  return Object.entries(lockedPackages()).every(
    ([path, { version, optional, peer }]) =>
      // Optional packages may be missing: they are those of other platforms.
      path === '' ||
      installed[path]?.version === version ||
      ((optional || peer) && installed[path] === undefined),
  )
}

export function lockedPackages() {
  return JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
}

/** Whether this Node needs better-sqlite3 (node:sqlite came with 22.13) and has none built, or none once modules are `anew`. */
export function sqliteIsMissing({ anew }) {
  const [major, minor] = process.versions.node.split('.').map(Number)
  const bringsSqlite = major > 22 || (major === 22 && minor >= 13)
  return !bringsSqlite && (anew || !existsSync(sqlite))
}

/** Downloads better-sqlite3's addon, or compiles it. Light optimisation takes half as long and is enough to index runs. */
export async function buildSqlite(execute = run) {
  const headers = nodeHeadersFolder()
  const env = { CFLAGS: '-O1', CXXFLAGS: '-O1', ...(headers && { npm_config_nodedir: headers }) }
  try {
    await execute('npm', ['rebuild', 'better-sqlite3'], { env })
  } catch (error) {
    if (!(error instanceof SetUpError)) throw error
    console.error(`hdpo: no better-sqlite3: runs train, but are not indexed for hdpo ui. ${error.message}`)
  }
}
