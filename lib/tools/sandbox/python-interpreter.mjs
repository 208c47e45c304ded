// @ts-check
// The program of one Python interpreter: Pyodide (CPython in WebAssembly) in a process of its own. Started by
// launch.ts as `node ... python-interpreter.mjs {"pyodide": URL, "output": characters, "memory": MiB, "snapshot"?}`.
// With snapshot 'make', writes the memory of a booted interpreter to descriptor 3 and ends; with 'load', starts from
// such memory, read from descriptor 4: 0.2 s instead of 1.5.
import fs from 'node:fs'
import { answer, BoundedOutput, nextRequest } from './conversation.mjs'
import { exit, limitWasmMemory, removeGlobals, shutNetwork, shutProcesses } from './lockdown.mjs'

const settings = JSON.parse(process.argv[2] ?? '{}')
const output = new BoundedOutput(settings.output)

// Before the snapshot, so that no interpreter pays for it again: the modules that code uses most, and an os.system
// that says what it cannot do (the real one would ask Node for a shell, be refused, and take the interpreter along).
const preparation = `
import collections, datetime, decimal, fractions, functools, heapq, itertools, json, math, os, random, re
import statistics, string
def system(command):
    raise OSError('the sandbox runs no processes')
os.system = system
del system
`

// Runs a cell as a notebook does: in one namespace, `await` allowed, the value of a last expression printed.
const cellRunner = `
def _make_run_cell():
    import ast, inspect, linecache, sys, traceback
    namespace = {'__name__': '__main__', '__builtins__': __builtins__}
    cells = 0

    async def evaluate(tree, filename, mode):
        code = compile(tree, filename, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        value = eval(code, namespace)
        return await value if code.co_flags & inspect.CO_COROUTINE else value

    async def execute(source, filename):
        tree = ast.parse(source, filename)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        await evaluate(tree, filename, 'exec')
        if last is None:
            return
        value = await evaluate(ast.Expression(last.value), filename, 'eval')
        if value is not None:
            print(repr(value))

    def report(error):
        frames = error.__traceback__
        while frames is not None and not frames.tb_frame.f_code.co_filename.startswith('<cell '):
            frames = frames.tb_next
        traceback.print_exception(type(error), error, frames)

    async def run_cell(source):
        nonlocal cells
        cells += 1
        filename = f'<cell {cells}>'
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        try:
            await execute(source, filename)
        except SystemExit as request:
            if request.code not in (None, 0):
                print(f'exit: {request.code}', file=sys.stderr)
        except BaseException as error:
            report(error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    return run_cell

_make_run_cell()
`

const python = await boot()
if (settings.snapshot === 'make') {
  writeAll(3, python.makeMemorySnapshot())
  exit(0)
}
const runCell = python.runPython(cellRunner, { globals: python.toPy({}) })
capture()
shutNetwork()
shutProcesses()
removeGlobals()
answer({ ready: true })
// Keeps the process while a cell awaits something that never comes; the pool's limit of time ends it then.
setInterval(() => {}, 2 ** 31 - 1)
for (;;) {
  const request = nextRequest()
  if (!request) exit(0)
  output.reset()
  const ended = await run(/** @type {{ code: string }} */ (request).code)
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
        output.write(decoder.decode(bytes, { stream: true }))
        return bytes.length
      },
    })
  }
  python.setStdin({ error: true })
}

/** Says why the interpreter cannot go on, where it cannot. @param {string} code @returns {Promise<string | undefined>} */
async function run(code) {
  try {
    await runCell(code)
    return undefined
  } catch (error) {
    return String(/** @type {Error} */ (error)?.message ?? error).slice(0, 500) || 'unknown'
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
