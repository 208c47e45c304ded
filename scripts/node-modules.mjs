// Installs the npm dependencies when node_modules does not hold what package-lock.json asks for.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from './command.mjs'

export function ensureNodeModules() {
  if (matchesLock()) return
  console.log('hdpo: installing npm dependencies (npm ci)')
  run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund'])
}

// npm leaves the list of what it has installed in node_modules.
function matchesLock() {
  const installedPath = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(installedPath)) return false
  const installed = JSON.parse(readFileSync(installedPath, 'utf8')).packages
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  return Object.entries(packages).every(
    ([path, { version, optional, peer }]) =>
      // Optional packages are those of other platforms.
      path === '' ||
      installed[path]?.version === version ||
      ((optional || peer) && installed[path] === undefined),
  )
}
