// @ts-check
// The program of one JavaScript interpreter: QuickJS in WebAssembly in a process of its own. Started by launch.ts as
// `node ... javascript-interpreter.mjs {"core": URL, "variant": URL, "output": characters, "memory": MiB}`. Code sees the
// language and console, nothing of Node.
import { answer, BoundedOutput, nextRequest } from './conversation.mjs'
import { exit, limitWasmMemory, removeGlobals, shutNetwork, shutProcesses } from './lockdown.mjs'

// Of the 5 MiB that this build of QuickJS has: some 3,000 plain calls. With more, what is quadratic in the depth (JSON.stringify) takes
// minutes before it overflows.
const stackBytes = 512 * 1024
const stackLines = 8
const settings = JSON.parse(process.argv[2] ?? '{}')
const output = new BoundedOutput(settings.output)

// Inside QuickJS: how values are shown, and console. Keeps its own copies of what it calls.
const prelude = `(function (print) {
  const { Error, Map, RegExp, Set, String, Object: { is, prototype: { toString } }, JSON: { stringify } } = globalThis
  const show = (value) => {
    switch (typeof value) {
      case 'string': return stringify(value)
      case 'bigint': return value + 'n'
      case 'symbol': return String(value)
      case 'function': return '[Function ' + (value.name || 'anonymous') + ']'
      case 'object': return showObject(value)
      default: return is(value, -0) ? '-0' : String(value)
    }
  }
  const showObject = (value) => {
    if (value === null) return 'null'
    try {
      if (value instanceof Error) return value.name + ': ' + value.message
      if (value instanceof Map) return 'Map ' + showObject([...value])
      if (value instanceof Set) return 'Set ' + showObject([...value])
      if (value instanceof RegExp) return String(value)
      return stringify(value, (key, inner) =>
        typeof inner === 'bigint' || typeof inner === 'function' || typeof inner === 'symbol' ? show(inner) : inner) ?? toString.call(value)
    } catch {
      return toString.call(value)
    }
  }
  const log = (...values) => print(values.map((value) => typeof value === 'string' ? value : show(value)).join(' '))
  globalThis.console = { log, info: log, debug: log, warn: log, error: log }
  return show
})`

limitWasmMemory(settings.memory)
shutNetwork()
shutProcesses()
const quickjs = await loadQuickJS()
removeGlobals()
const runtime = quickjs.newRuntime()
runtime.setMaxStackSize(stackBytes)
const context = runtime.newContext()
const show = installConsole()
let cells = 0

answer({ ready: true })
for (;;) {
  const request = nextRequest()
  if (!request) exit(0)
  output.reset()
  const ended = run(/** @type {{ code: string }} */ (request).code)
  answer({ id: request?.id, output: output.text, characters: output.characters, ...(ended && { ended }) })
  if (ended) exit(1)
}

/** By URL: names would be looked up along folders that this process may not read. */
async function loadQuickJS() {
  /** @type {typeof import('quickjs-emscripten-core')} */
  const { newQuickJSWASMModuleFromVariant } = await import(settings.core)
  return newQuickJSWASMModuleFromVariant(import(settings.variant))
}

/** Says why the interpreter cannot go on, where it cannot. @param {string} code @returns {string | undefined} */
function run(code) {
  try {
    evaluate(code)
    return undefined
  } catch (error) {
    return String(/** @type {Error} */ (error)?.message ?? error).slice(0, 500) || 'unknown'
  }
}

/** @param {string} code */
function evaluate(code) {
  cells++
  const result = context.evalCode(code, `<cell ${cells}>`, { type: 'global' })
  if (result.error) return report(result.error)
  const jobs = runtime.executePendingJobs()
  if (jobs.error) return report(jobs.error)
  settle(result.value)
}

/** Prints the cell's value, or what its promise came to. @param {import('quickjs-emscripten-core').QuickJSHandle} value */
function settle(value) {
  const state = context.getPromiseState(value)
  if (state.type === 'rejected') return report(state.error)
  if (state.type === 'pending')
    return output.write('[a promise that nothing will settle: there are no timers]\n')
  if (context.typeof(state.value) === 'undefined') return
  const shown = context.callFunction(show, context.undefined, state.value)
  if (shown.error) return report(shown.error)
  output.write(`${context.getString(shown.value)}\n`)
}

/** @param {import('quickjs-emscripten-core').QuickJSHandle} error */
function report(error) {
  if (nothingRuns()) throw new Error('out of memory')
  const thrown = context.dump(error)
  // What QuickJS throws where there is no memory left for an Error; code may throw null as well.
  if (thrown === null && memoryIsFull()) return output.write('InternalError: out of memory\n')
  if (typeof thrown !== 'object' || thrown === null) return output.write(`Uncaught ${String(thrown)}\n`)
  const { name = 'Error', message = '', stack = '' } = thrown
  const frames = String(stack).trimEnd().split('\n')
  const shown = frames.length > stackLines ? [...frames.slice(0, stackLines), '    ...'] : frames
  output.write(`${name}: ${message}\n${shown.join('\n')}\n`)
}

/** There is no memory left for the smallest cell. */
function nothingRuns() {
  const probe = context.evalCode('[0, 1, 2]')
  probe.dispose()
  return probe.error !== undefined
}

function memoryIsFull() {
  return quickjs.getWasmMemory().buffer.byteLength > settings.memory * 2 ** 20 * 0.75
}

function installConsole() {
  const print = context.newFunction('print', (text) => output.write(`${context.getString(text)}\n`))
  const install = context.unwrapResult(context.evalCode(prelude, '<console>'))
  return context.unwrapResult(context.callFunction(install, context.undefined, print))
}
