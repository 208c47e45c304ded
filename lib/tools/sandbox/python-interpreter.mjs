// @ts-check
// The program of one Python interpreter: Pyodide (CPython in WebAssembly) in a process of its own. Started by
// launch.ts as `node ... python-interpreter.mjs {"pyodide": URL, "output": characters, "memory": MiB, "snapshot"?}`.
// With snapshot 'make', writes the memory of a booted interpreter to descriptor 3 and ends; with 'load', starts from
// such memory, read from descriptor 4: 0.2 s instead of 1.5.
import fs from 'node:fs'
import { answer, BoundedOutput, decode, nextRequest, pause } from './conversation.mjs'
import { exit, limitWasmMemory, removeGlobals, shutNetwork, shutProcesses } from './lockdown.mjs'
import { cellRunner, preparation } from './python-cells.mjs'

const settings = JSON.parse(process.argv[2] ?? '{}')
const output = new BoundedOutput(settings.output)

const python = await boot()
if (settings.snapshot === 'make') {
  writeAll(3, python.makeMemorySnapshot())
  exit(0)
}
const runnerName = '<sandbox>'
const runCell = python.runPython(cellRunner, { globals: python.toPy({}), filename: runnerName })(
  pause,
  runnerName,
  Math.ceil(settings.output / 2),
)
capture()
shutNetwork()
shutProcesses()
removeGlobals()
answer({ ready: true })
for (;;) {
  const request = nextRequest()
  if (!request) exit(0)
  output.reset()
  const ended = run(/** @type {{ code: string }} */ (request).code)
  answer({ id: request?.id, output: output.text, characters: output.characters, ...(ended && { ended }) })
  if (ended) exit(1)
}

async function boot() {
  limitWasmMemory(settings.memory)
  // Pyodide reads two constants through process.binding, which the permission model refuses.
  Reflect.set(process, 'binding', (/** @type {string} */ name) => {
    if (name !== 'constants') throw new Error(`no binding ${name}`)
    return { fs: fs.constants }
  })
  const { loadPyodide } = await import(settings.pyodide)
  const snapshot = settings.snapshot === 'load' ? readAll(4) : undefined
  const python = await loadPyodide({
    jsglobals: Object.create(null),
    ...(settings.snapshot === 'make' && { _makeSnapshot: true }),
    ...(snapshot && { _loadSnapshot: snapshot }),
  })
  // Pyodide holds on to its options, and the snapshot is 30 MiB: detached, it is freed.
  if (snapshot) structuredClone(snapshot.buffer, { transfer: [snapshot.buffer] })
  if (settings.snapshot !== 'load') python.runPython(preparation)
  return python
}

/** Standard output and error in the order of writing; there is no input. */
function capture() {
  for (const redirect of [python.setStdout, python.setStderr]) {
    const decoder = new TextDecoder()
    redirect({
      write(/** @type {Uint8Array} */ bytes) {
        output.write(decode(decoder, bytes, { stream: true }))
        return bytes.length
      },
    })
  }
  python.setStdin({ error: true })
}

/** Says why the interpreter cannot go on, where it cannot. @param {string} code @returns {string | undefined} */
function run(code) {
  try {
    runCell(code)
    return undefined
  } catch (error) {
    return `${/** @type {Error} */ (error)?.message ?? error}` || 'unknown'
  }
}

/** @param {number} descriptor */
function readAll(descriptor) {
  const bytes = new Uint8Array(fs.fstatSync(descriptor).size)
  for (let at = 0; at < bytes.length; ) {
    const count = fs.readSync(descriptor, bytes, at, bytes.length - at, at)
    if (count === 0) throw new Error(`snapshot: ends after ${at} of ${bytes.length} bytes`)
    at += count
  }
  return bytes
}

/** @param {number} descriptor @param {Uint8Array} bytes */
function writeAll(descriptor, bytes) {
  for (let at = 0; at < bytes.length; ) at += fs.writeSync(descriptor, bytes, at)
}
