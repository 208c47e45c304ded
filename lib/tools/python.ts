// A sandboxed Python for a policy: CPython in WebAssembly (Pyodide) with its standard library alone; no network, no files of this
// machine, no processes.
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { HdpoError } from '../core/errors.js'
import { type CodeTool, codeTool } from './sandbox/code-tool.js'
import { InterpreterProcess } from './sandbox/interpreter-process.js'
import { type InterpreterProgram, launchCommand, sandboxFolder } from './sandbox/launch.js'
import { resolveSandboxOptions, type SandboxOptions } from './sandbox/options.js'
import { makeSnapshot, releaseSnapshot } from './sandbox/snapshot.js'

const description =
  'Runs Python code and returns what it prints and the value of a last expression. Variables are kept between ' +
  'calls. The standard library is there; there is no network and no file of the machine.'

/**
 * Needs the package pyodide, which is not a dependency because it has 14 MB: `npm install pyodide`. Resolves once a first
 * interpreter runs; otherwise rejects with what is missing.
 */
export async function pythonTool(options: SandboxOptions = {}): Promise<CodeTool> {
  const limits = resolveSandboxOptions(options, 'python')
  const pyodide = findPyodide()
  const program = (snapshot: 'make' | 'load'): InterpreterProgram => ({
    entry: `${sandboxFolder}python-interpreter.mjs`,
    settings: { pyodide: pathToFileURL(pyodide).href, snapshot },
    folders: [`${dirname(pyodide)}/`],
  })
  const snapshot = await makeSnapshot(await launchCommand(program('make'), limits))
  const command = await launchCommand(program('load'), limits)
  return codeTool({
    name: options.name ?? 'python',
    description: options.description ?? description,
    limits,
    start: () => InterpreterProcess.start(command, limits, snapshot),
    release: () => releaseSnapshot(snapshot),
  })
}

function findPyodide(): string {
  try {
    return createRequire(import.meta.url).resolve('pyodide/pyodide.mjs')
  } catch (error) {
    throw new HdpoError(
      'ERR_MISSING_PACKAGE',
      'the python tool needs the package pyodide: npm install pyodide',
      {
        cause: error,
      },
    )
  }
}
