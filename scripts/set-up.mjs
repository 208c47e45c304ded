// Makes a fresh clone ready to run: npm dependencies, system packages, the native addon, each at the same time as those that
// it does not need. When all is there it does nothing, in well under a second. --rebuild builds the addon whatever its stamp says.
import { availableParallelism } from 'node:os'
import { pathToFileURL } from 'node:url'
import { addonIsCurrent, buildAddon } from './build-addon.mjs'
import { main, runQuietly, SetUpError } from './command.mjs'
import { decideCuda } from './cuda-setting.mjs'
import { buildSqlite, installNodeModules, nodeModulesMatchLock, sqliteIsMissing } from './node-modules.mjs'
import { fullBuildPackages, installSystemPackages, missingPackages } from './system-packages.mjs'

// Seconds of one core that each part takes, measured on a first-generation EPYC with the compilers of Debian 12.
const coreSeconds = { modules: 30, packages: 10, addon: 65, cuda: 450, sqlite: 40 }

/** addon: false leaves out the native addon, which takes most of the time. */
export async function setUp({ packages = fullBuildPackages, addon = true, rebuild = false } = {}) {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 12))
    throw new SetUpError(`needs Node 20.12 or later, this is ${process.version}`)
  const cuda = decideCuda()
  const modules = !nodeModulesMatchLock()
  const plan = {
    modules,
    sqlite: sqliteIsMissing({ anew: modules }),
    packages: missingPackages(packages),
    addon: addon && (rebuild || !addonIsCurrent(cuda)),
  }
  const parts = [
    plan.modules && 'npm dependencies',
    ...plan.packages,
    plan.addon && 'the native addon',
    plan.sqlite && !plan.modules && 'better-sqlite3',
  ].filter(Boolean)
  if (parts.length === 0) return
  console.log(`hdpo: setting up: ${parts.join(', ')}; ${estimate(plan, cuda)}`)
  if (plan.addon) console.log(`hdpo: ${cuda.line}`)
  await carryOut(plan, cuda)
}

/** A part that fails ends the others, except apt-get, which would leave packages half installed. */
async function carryOut(plan, cuda) {
  const failure = new AbortController()
  const execute = (command, args, options) =>
    runQuietly(command, args, { ...options, signal: failure.signal })
  const packages = report('system packages', plan.packages.length > 0, () =>
    installSystemPackages(plan.packages, runQuietly),
  )
  const modules = report('npm dependencies', plan.modules, () => installNodeModules(execute))
  const addon = report('native addon', plan.addon, async () => {
    await packages
    await buildAddon({ cuda, headers: modules, execute })
  })
  const sqlite = report('better-sqlite3', plan.sqlite, async () => {
    await Promise.all([packages, modules])
    await buildSqlite(execute)
  })
  const all = [packages, modules, addon, sqlite]
  try {
    await Promise.all(all)
  } catch (error) {
    failure.abort()
    await Promise.allSettled(all)
    throw error
  }
}

async function report(name, wanted, work) {
  if (!wanted) return
  const start = performance.now()
  await work()
  console.log(`hdpo: ${name}: done after ${Math.round((performance.now() - start) / 1000)} s`)
}

function estimate(plan, cuda) {
  const wanted = { ...plan, packages: plan.packages.length > 0, cuda: plan.addon && cuda.compiler }
  const cores = availableParallelism()
  const work = Object.keys(coreSeconds).reduce((sum, part) => sum + (wanted[part] ? coreSeconds[part] : 0), 0)
  // Neither the downloads of npm and apt-get nor the compilation of the largest source go faster with more cores.
  const minutes = Math.max(work / cores, 30) / 60
  return `about ${minutes < 1 ? 'a minute' : `${Math.ceil(minutes)} minutes`} on ${cores} cores`
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(() => setUp({ rebuild: process.argv.includes('--rebuild') }))
}
