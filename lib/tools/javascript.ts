// A sandboxed JavaScript for a policy: QuickJS in WebAssembly, with the language and console, without Node's APIs.
import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type CodeTool, codeTool } from './sandbox/code-tool.js'
import { InterpreterProcess } from './sandbox/interpreter-process.js'
import { launchCommand, sandboxFolder } from './sandbox/launch.js'
import { resolveSandboxOptions, type SandboxOptions } from './sandbox/options.js'

const description =
  'Runs JavaScript (ES2023) and returns what console.log prints and the value of a last expression. Variables are ' +
  'kept between calls. There is no network, no file, no timer, no import.'

const nodeModules = `${sep}node_modules${sep}`

/** Resolves once a first interpreter runs. */
export async function javascriptTool(options: SandboxOptions = {}): Promise<CodeTool> {
  const limits = resolveSandboxOptions(options, 'javascript')
  const { settings, folders } = findQuickJS()
  const entry = `${sandboxFolder}javascript-interpreter.mjs`
  const command = await launchCommand({ entry, settings, folders }, limits)
  return codeTool({
    name: options.name ?? 'javascript',
    description: options.description ?? description,
    limits,
    start: () => InterpreterProcess.start(command, limits),
  })
}

/** Finds QuickJS, its WebAssembly, the parser of cells, and the constants package that the first two import, with the links to it in node_modules. */
function findQuickJS() {
  const ours = createRequire(import.meta.url)
  const core = ours.resolve('quickjs-emscripten-core')
  const variant = ours.resolve('@jitl/quickjs-wasmfile-release-sync')
  const constants = '@jitl/quickjs-ffi-types'
  const parser = ours.resolve('acorn')
  const folders = [core, variant, createRequire(core).resolve(constants), parser].map(packageFolder)
  const links = [core, variant].map((entry) =>
    join(entry.slice(0, entry.lastIndexOf(nodeModules)), nodeModules, constants),
  )
  return {
    settings: { core: moduleUrl(core), variant: moduleUrl(variant), parser: moduleUrl(parser) },
    folders: [...new Set([...folders, ...links])],
  }
}

/** The URL of the ES module, which all three packages have beside the CommonJS file, under the same name. */
function moduleUrl(entry: string): string {
  return pathToFileURL(entry.replace(/\.js$/, '.mjs')).href
}

/** All packages have their entry in dist/. */
function packageFolder(entry: string): string {
  return dirname(dirname(entry))
}
