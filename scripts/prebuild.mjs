// npm run prebuild [-- --processors x86-64-v3,cooperlake]: makes the two published packages in build/prebuilt. One is hdpo itself.
// The other has the addon for Linux on x86-64, one build per processor generation in native/prebuilt.json (or per named one), and
// the libraries that it needs. npm installs the second where it fits, as an optional dependency of the first.
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildWithCMake } from './cmake.mjs'
import { main, output, root, run, SetUpError } from './command.mjs'
import { decideCuda } from './cuda-setting.mjs'
import { setUp } from './set-up.mjs'

const folder = join(root, 'build', 'prebuilt')
const platformFolder = join(folder, 'linux-x64'),
  packageFolder = join(folder, 'hdpo')
const list = JSON.parse(readFileSync(join(root, 'native', 'prebuilt.json'), 'utf8'))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** Libraries that a system with Node may not have. What they need in turn is in this list, in glibc, or needed by Node itself. */
const bundled = ['libdnnl.so.2', 'libgomp.so.1', 'libOpenCL.so.1']

main(() => {
  const known = list.processors.map(({ name }) => name)
  const { values } = parseArgs({ options: { processors: { type: 'string', default: known.join(',') } } })
  const processors = values.processors.split(',')
  const unknown = processors.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new SetUpError(`--processors: ${unknown} is none of ${known.join(', ')}`)
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new SetUpError(`packs addons of Linux on x64, this is ${process.platform} on ${process.arch}`)
  }
  return makePackages(processors)
})

async function makePackages(processors) {
  await setUp({ addon: false })
  // The machines that the addon is for may have a driver even if this one has none.
  const cuda = decideCuda({ driver: () => 'for other machines' })
  console.log(`hdpo: ${cuda.line}`)
  for (const path of [platformFolder, packageFolder]) rmSync(path, { recursive: true, force: true })
  for (const name of processors) await buildAddon(name, cuda)
  bundleLibraries(join(platformFolder, processors[0], 'hdpo.node'))
  describePlatformPackage(processors)
  stagePackage()
  for (const path of [platformFolder, packageFolder])
    run('npm', ['pack', '--silent', '--pack-destination', folder, path])
}

async function buildAddon(name, cuda) {
  console.log(`hdpo: building the addon for ${name}`)
  const settings = { HDPO_PREBUILT: 'ON', HDPO_ADDON_FOLDER: join(platformFolder, name) }
  await buildWithCMake('hdpo_addon', {
    folder: join('prebuilt', `cmake-${name}`),
    arch: name,
    cuda,
    settings,
  })
}

/** Copies the libraries to one folder above the addons, which look for them there, together with their licences from Debian. */
function bundleLibraries(addon) {
  const libraries = librariesOf(addon)
  const stray = [...libraries.keys()].find((name) => !bundled.includes(name) && !comesWithNode(name))
  if (stray !== undefined) throw new SetUpError(`the addon needs ${stray}, which is not packed with it`)
  for (const name of bundled) {
    const path = libraries.get(name)
    if (path === undefined) throw new SetUpError(`the addon does not need ${name} any more: do not pack it`)
    copyFileSync(realpathSync(path), join(platformFolder, name))
    copyLicence(path)
  }
}

/** Name and path of every shared library that the addon loads, directly or through another library. */
function librariesOf(addon) {
  const printed = output('ldd', [addon]) ?? ''
  return new Map([...printed.matchAll(/^\s*(\S+) => (\S+)/gm)].map(([, name, path]) => [name, path]))
}

function comesWithNode(name) {
  return /^(libc|libm|libdl|libpthread|librt|ld-linux-x86-64|libstdc\+\+|libgcc_s)\.so/.test(name)
}

function copyLicence(library) {
  // dpkg knows a file by its path in the package, which may date from before /lib was merged with /usr/lib.
  const real = realpathSync(library)
  const owner = [real, real.replace(/^\/usr/, '')]
    .map((path) => output('dpkg', ['--search', path]))
    .find(Boolean)
  if (owner === undefined) throw new SetUpError(`no Debian package has ${library}: its licence is not known`)
  const name = owner.split(':')[0]
  mkdirSync(join(platformFolder, 'licenses'), { recursive: true })
  copyFileSync(
    realpathSync(join('/usr/share/doc', name, 'copyright')),
    join(platformFolder, 'licenses', name),
  )
}

/** Writes the platform package's package.json. npm skips the package where os, cpu or libc differ from those named in it. */
function describePlatformPackage(processors) {
  const { version, license, engines } = manifest
  const needs = newestGlibc(join(platformFolder, processors[0], 'hdpo.node'))
  const description = {
    name: list.package,
    version,
    description: `The native addon of hdpo for Linux on x86-64, glibc ${needs} or later`,
    license,
    os: ['linux'],
    cpu: ['x64'],
    libc: ['glibc'],
    engines,
    files: [...processors, ...bundled, 'licenses'],
  }
  write(join(platformFolder, 'package.json'), description)
  copyFileSync(join(root, 'LICENSE'), join(platformFolder, 'LICENSE'))
  const readme = [
    `# ${list.package}`,
    '',
    `${description.description}, built for ${processors.join(', ')}. Install \`hdpo\`, which takes this package along.`,
    'oneDNN, GNU OpenMP and the OpenCL loader lie beside it; their licences are in `licenses`.',
  ]
  writeFileSync(join(platformFolder, 'README.md'), `${readme.join('\n')}\n`)
}

/** The newest glibc among the symbol versions that the addon and the libraries ask for. */
function newestGlibc(addon) {
  const files = [addon, ...bundled.map((name) => join(platformFolder, name))]
  const asked = files.flatMap((file) => [
    ...(output('objdump', ['-T', file]) ?? '').matchAll(/GLIBC_2\.(\d+)/g),
  ])
  if (asked.length === 0)
    throw new SetUpError('objdump found no symbols of glibc: is it installed (binutils)?')
  return `2.${Math.max(...asked.map(([, minor]) => Number(minor)))}`
}

/** Writes the package as `npm pack` has it, with the platform package as a dependency, which a clone does not have. */
function stagePackage() {
  mkdirSync(packageFolder, { recursive: true })
  run('npm', ['pack', '--silent', '--pack-destination', packageFolder])
  const tarball = join(packageFolder, readdirSync(packageFolder)[0])
  run('tar', ['--extract', '--gzip', '--file', tarball, '--strip-components=1', '--directory', packageFolder])
  rmSync(tarball)
  const { scripts, ...published } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'))
  const { prepack, ...others } = scripts
  write(join(packageFolder, 'package.json'), {
    ...published,
    scripts: others,
    optionalDependencies: { ...published.optionalDependencies, [list.package]: published.version },
  })
}

function write(path, value) {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`)
}
