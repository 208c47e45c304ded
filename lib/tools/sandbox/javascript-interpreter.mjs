// @ts-check
// The program of one JavaScript interpreter: QuickJS in WebAssembly in a process of its own. Started by launch.ts as
// `node ... javascript-interpreter.mjs {"core": URL, "variant": URL, "parser": URL, "output": characters, "memory": MiB}`. Code sees the
// language and console, nothing of Node.
import { answer, BoundedOutput, nextRequest } from './conversation.mjs'
import { toScript } from './javascript-cells.mjs'
import { consoleProgram } from './javascript-console.mjs'
import { exit, limitWasmMemory, removeGlobals, shutNetwork, shutProcesses } from './lockdown.mjs'

/** @typedef {import('quickjs-emscripten-core').QuickJSHandle} QuickJSHandle */

// Of the 5 MiB that this build of QuickJS has: some 3,000 plain calls. With more, what is quadratic in the depth (JSON.stringify) takes
// minutes before it overflows.
const stackBytes = 512 * 1024
const stackLines = 8
// JS_EVAL_FLAG_ASYNC of QuickJS: a script that may await. Its value is a promise of { value }.
const mayAwait = 1 << 7
const settings = JSON.parse(process.argv[2] ?? '{}')
const output = new BoundedOutput(settings.output)

limitWasmMemory(settings.memory)
shutNetwork()
shutProcesses()
/** @type {{ parse(code: string, options: object): unknown }} */
const parser = await import(settings.parser)
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
  const script = toScript(parser.parse, code)
  const result = context.evalCode(script.code, `<cell ${cells}>`, script.awaits ? mayAwait : 0)
  if (result.error) return report(result.error)
  const jobs = runtime.executePendingJobs()
  if (jobs.error) return report(jobs.error)
  if (!script.awaits) return settle(result.value, print)
  settle(result.value, (completion) => settle(context.getProp(completion, 'value'), print))
}

/**
 * Hands on a value, or what its promise came to.
 * @param {QuickJSHandle} value @param {(settled: QuickJSHandle) => void} then
 */
function settle(value, then) {
  const state = context.getPromiseState(value)
  if (state.type === 'rejected') return report(state.error)
  if (state.type === 'pending')
    return output.write('[a promise that nothing will settle: there are no timers]\n')
  then(state.value)
}

/** Prints the cell's value. @param {QuickJSHandle} value */
function print(value) {
  if (context.typeof(value) === 'undefined') return
  const shown = context.callFunction(show, context.undefined, value)
  if (shown.error) return report(shown.error)
  output.write(`${textOf(shown.value)}\n`)
}

/** A text that comes as JSON, because QuickJS hands over no more of a text than what stands before a NUL. @param {QuickJSHandle} json */
function textOf(json) {
  return JSON.parse(context.getString(json))
}

/** @param {QuickJSHandle} error */
function report(error) {
  if (nothingRuns()) throw new Error('out of memory')
  const thrown = context.dump(error)
  // What QuickJS throws where there is no memory left for an Error; code may throw null as well.
  if (thrown === null && memoryIsFull()) return output.write('InternalError: out of memory\n')
  if (typeof thrown !== 'object' || thrown === null) return output.write(`Uncaught ${String(thrown)}\n`)
  if (!('stack' in thrown)) return reportValue(error)
  const { name = 'Error', message = '', stack = '' } = thrown
  const frames = String(stack).trimEnd().split('\n')
  const shown = frames.length > stackLines ? [...frames.slice(0, stackLines), '    ...'] : frames
  output.write(`${name}: ${message}\n${shown.join('\n')}\n`)
}

/** Prints what was thrown and is no Error. @param {QuickJSHandle} value */
function reportValue(value) {
  const shown = context.callFunction(show, context.undefined, value)
  output.write(`Uncaught ${shown.error ? 'object' : textOf(shown.value)}\n`)
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
  const write = context.newFunction('print', (text) => output.write(`${textOf(text)}\n`))
  const install = context.unwrapResult(context.evalCode(consoleProgram, '<console>'))
  return context.unwrapResult(context.callFunction(install, context.undefined, write))
}
