import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pythonTool } from '../../../lib/tools/python.js'
import type { CodeTool } from '../../../lib/tools/sandbox/code-tool.js'
import { ToolTimeoutError } from '../../../lib/tools/tool-timeout-error.js'
import { type Rollout, rollout, runOnce } from './call.js'

let python: CodeTool
// Generous, for machines that are slow or busy; tests of a limit set their own.
const options = { memory: 128, cpuTime: 60_000, wallTime: 170_000, output: 2000 }
beforeAll(async () => {
  python = await pythonTool(options)
})
afterAll(() => python.close())

describe('python', () => {
  let one: Rollout
  beforeAll(() => {
    one = rollout(python)
  })
  afterAll(() => one.end())

  it('prints, and shows the value of a last expression', async () => {
    expect(await one.run('print("a")\nimport sys\nprint("b", file=sys.stderr)\n6 * 7')).toBe('a\nb\n42')
    expect(await one.run('x = 1')).toBe('[no output]')
    expect(await one.run('import asyncio\nawait asyncio.sleep(0.01)\n"waited"')).toBe("'waited'")
    expect(await one.run('import datetime, statistics\nstatistics.median([3, 1, 2])')).toBe('2')
  })

  it('shows where code failed, and nothing of the sandbox', async () => {
    const text = await one.run('def half(n):\n  return n / 0\nhalf(3)')
    expect(text).toMatch(/File "<cell \d+>", line 2, in half/)
    expect(text).toMatch(/ZeroDivisionError: division by zero$/)
    expect(text).not.toMatch(/run_cell|evaluate|pyodide|\/lib\//)
    expect(await one.run('print(')).toMatch(/^ {2}File "<cell \d+>", line 1\n.*\n.*\nSyntaxError/)
    expect(await one.run('import sys\nsys.exit(3)')).toBe('exit: 3')
    expect(await one.run('input()')).toContain('OSError')
  })

  it('keeps state within a rollout, its calls in order', async () => {
    await one.run('x = [1]\ndef grow(): x.append(len(x) + 1)')
    await Promise.all([one.run('grow()'), one.run('grow()'), one.run('grow()')])
    expect(await one.run('x')).toBe('[1, 2, 3, 4]')
  })

  it('shares nothing between rollouts, even of the same id', async () => {
    const probe =
      'import builtins, json, os, random, sys\n' +
      '["secret" in globals(), hasattr(builtins, "leak"), hasattr(json, "leak"), hasattr(sys, "leak"), os.path.exists("/tmp/f")]'
    await one.run(
      'secret = 1\nimport builtins, json, sys\nbuiltins.leak = json.leak = sys.leak = 2\nopen("/tmp/f", "w").write("3")',
    )
    expect(await one.run(probe)).toBe('[True, True, True, True, True]')
    expect(await runOnce(python, probe)).toBe('[False, False, False, False, False]')
    one.end()
    one = rollout(python)
    expect(await one.run(probe)).toBe('[False, False, False, False, False]')
  })

  it('starts every rollout from the same random state', async () => {
    const draw = 'import random\nrandom.random()'
    expect(await one.run(draw)).toBe(await runOnce(python, draw))
  })
})

describe('the limits of python', () => {
  let one: Rollout
  beforeAll(() => {
    one = rollout(python)
  })
  afterAll(() => one.end())

  it('CPU: the interpreter is replaced, and says so', async () => {
    const hurried = await pythonTool({ ...options, cpuTime: 1000 })
    const one = rollout(hurried)
    try {
      await one.run('x = 1')
      const error = await one.run('while True: pass').catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(ToolTimeoutError)
      expect(String(error)).toContain('stopped after 1000 ms of CPU time; what it had defined is lost')
      expect(await one.run('"x" in globals()')).toBe('False')
    } finally {
      await hurried.close()
    }
  })

  it.each([
    ['a bytearray', 'bytearray(10 ** 9)'],
    ['a list that grows', 'kept = []\nwhile True: kept.append(bytearray(10 ** 6))'],
    ['a number', 'kept = None\n1 << (1 << 31)'],
  ])('memory: %s is an error to the code', async (_, code) => {
    expect(await one.run(code)).toMatch(/MemoryError|OverflowError/)
  })

  it('memory: files that fill it', async () => {
    const fill = 'f = open("/tmp/big", "wb")\nwhile True: f.write(bytes(10 ** 7))'
    await expect(one.run(fill)).rejects.toThrow(/MiB of memory|CPU time/)
  })

  it('output: a flood, and a huge result', async () => {
    const flood = await one.run('for i in range(20000): print("flood")')
    expect(flood).toMatch(/\[truncated: the first 2000 of 120000 characters\]$/)
    expect(flood.length).toBeLessThan(2100)
    expect(await one.run('"x" * 10_000_000')).toMatch(/the first 2000 of 10000003 characters\]$/)
    expect(await one.run('"\\U0001F600\\x00" * 3000')).toContain('[truncated: the first 2000 of ')
  })

  it('depth', async () => {
    expect(await one.run('def f(n): return f(n + 1)\nf(0)')).toContain('RecursionError')
  })

  it.each([
    ['leaves', 'import os\nos._exit(0)'],
    ['aborts', 'import os\nos.abort()'],
    ['asks for a shell behind our back', 'import posix\nposix.system("id")'],
    ['reads nowhere', 'import ctypes\nctypes.string_at(3_000_000_000)'],
  ])('code that %s ends its interpreter, not the tool', async (_, code) => {
    await expect(one.run(code)).rejects.toThrow('what it had defined is lost')
    expect(await one.run('1 + 1')).toBe('2')
  })

  it('is stopped by the signal, whatever it does', async () => {
    const stopped = new AbortController()
    const running = one.run('while True: pass', stopped.signal)
    setTimeout(() => stopped.abort(new Error('no more')), 100)
    await expect(running).rejects.toThrow('no more')
  })

  it('is stopped where it waits for what never comes', async () => {
    const patient = await pythonTool({ wallTime: 300 })
    await expect(runOnce(patient, 'import asyncio\nawait asyncio.Future()')).rejects.toThrow(
      'stopped after 300 ms',
    )
    await patient.close()
  })
})

describe('what python code cannot reach', () => {
  let one: Rollout
  beforeAll(() => {
    one = rollout(python)
  })
  afterAll(() => one.end())

  it.each([
    ['files', 'open("/etc/passwd").read()', 'FileNotFoundError'],
    ['files through JavaScript', 'from js import require', 'ImportError'],
    [
      'files through a mount',
      'import pyodide_js as p\np.FS.mkdir("/host")\np.FS.mount(p.FS.filesystems.NODEFS, {"root": "/etc"}, "/host")\nopen("/host/passwd").read()',
      'Error',
    ],
    ['processes', 'import subprocess\nsubprocess.run(["ls"])', 'OSError'],
    ['a fork', 'import os\nwhile True: os.fork()', 'OSError'],
    ['a shell', 'import os\nos.system("id")', 'OSError: the sandbox runs no processes'],
    ['threads', 'import threading\nwhile True: threading.Thread(target=print).start()', 'RuntimeError'],
    ['other processes', 'import multiprocessing\nmultiprocessing.Process(target=print).start()', 'Error'],
    ['the network by URL', 'import urllib.request\nurllib.request.urlopen("http://127.0.0.1:1/")', 'Error'],
    ['the network by fetch', 'from js import fetch', 'ImportError'],
    [
      'the network by pyodide',
      'from pyodide.http import pyfetch\nawait pyfetch("http://127.0.0.1:1/")',
      'Error',
    ],
    ['packages', 'import micropip', 'ModuleNotFoundError'],
    ['JavaScript globals', 'from js import process', 'ImportError'],
    ['eval', 'from pyodide.code import run_js\nrun_js("1")', 'ImportError'],
    [
      'Function',
      'import pyodide_js\npyodide_js.loadPackage.constructor("return process")()',
      'Code generation from strings',
    ],
    [
      'Function of an async function',
      'import pyodide_js\n(pyodide_js.runPythonAsync.constructor)("return 1")',
      'Code generation from strings',
    ],
    [
      'the environment',
      'import os\n[name for name in os.environ if "KEY" in name or "PATH" == name and "node" in os.environ[name]]',
      '\\[\\]',
    ],
  ])('%s', async (_, code, outcome) => {
    expect(await one.run(code)).toMatch(new RegExp(outcome))
  })

  it('anything of the machine, by following every JavaScript object there is', async () => {
    const search = `
import js, pyodide_js, _pyodide_core
from pyodide.ffi import JsProxy
wanted = {'process', 'binding', 'mainModule', 'dlopen', 'spawn', 'execSync', 'createConnection', 'fetch', 'WebSocket'}
seen, found = set(), []
queue = [(js, 'js'), (pyodide_js, 'pyodide_js')]
queue += [(getattr(_pyodide_core, name), name) for name in dir(_pyodide_core)]
while queue and len(seen) < 1000:
    value, path = queue.pop(0)
    if not isinstance(value, JsProxy) or value.js_id in seen or hasattr(value, 'BYTES_PER_ELEMENT'):
        continue
    seen.add(value.js_id)
    for name in dir(value)[:500]:
        if name in wanted:
            found.append(f'{path}.{name}')
        try:
            queue.append((getattr(value, name), f'{path}.{name}'))
        except BaseException:
            pass
(len(seen) > 100, found)
`
    expect(await one.run(search)).toBe('(True, [])')
  })
})
