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

  const main = 'import asyncio\nasync def main():\n  await asyncio.sleep(0.01)\n  return 42\n'
  it.each([
    ['asyncio.run', 'asyncio.run(main())', '42'],
    ['twice', '[asyncio.run(main()), asyncio.run(main())]', '[42, 42]'],
    ['a new loop', 'asyncio.new_event_loop().run_until_complete(main())', '42'],
    ["the thread's loop", 'asyncio.get_event_loop().run_until_complete(main())', '42'],
    ['a runner', 'with asyncio.Runner() as runner: print(runner.run(main()))', '42'],
    [
      'await, and a run inside',
      'async def outer(): return asyncio.run(main()) + await main()\nawait outer()',
      '84',
    ],
    ['a task of one cell', 'task = asyncio.create_task(main())', '[no output]'],
    ['awaited in the next', 'await task', '42'],
    ['a group', 'async with asyncio.TaskGroup() as group: t = group.create_task(main())\nt.result()', '42'],
    [
      'a time-out',
      'try: await asyncio.wait_for(asyncio.Future(), 0.01)\nexcept TimeoutError: print("late")',
      'late',
    ],
    ['a thread', 'await asyncio.to_thread(lambda: 7)', '7'],
    ['a comprehension', 'async def two():\n  yield 1\n  yield 2\n[x async for x in two()]', '[1, 2]'],
    [
      'run_forever',
      'loop = asyncio.new_event_loop()\nloop.call_later(0.01, loop.stop)\nloop.run_forever()',
      '[no output]',
    ],
    ['a closed loop', 'loop.close()\nasyncio.run(main())', '42'],
  ])('asyncio: %s', async (_, code, result) => {
    expect(await one.run(main + code)).toBe(result)
  })

  it('asyncio: an error names where it was, and nothing of the sandbox', async () => {
    const text = await one.run('import asyncio\nasync def fail():\n  1 / 0\nasyncio.run(fail())')
    expect(text).toMatch(/File "<cell \d+>", line 3, in fail/)
    expect(text).not.toMatch(/sandbox|stepped_out/)
  })

  it.each([
    [
      'unittest finds the tests',
      'import unittest\nclass T(unittest.TestCase):\n  def test_it(self): self.assertEqual(1, 2)\nunittest.main()',
      /Ran 1 test.*FAILED.*exit: 1$/s,
    ],
    [
      'doctest finds the examples',
      'import doctest\ndef square(x):\n  """\n  >>> square(2)\n  5\n  """\n  return x * x\ndoctest.testmod()',
      /failed=1/,
    ],
    ['pickle', 'import pickle\nclass Q: pass\ntype(pickle.loads(pickle.dumps(Q()))) is Q', /^True$/],
    ['a pickle of an earlier class', 'pickle.loads(pickle.dumps(Q())).__class__.__module__', /^'__main__'$/],
    [
      'timeit',
      'import timeit\ndef f(): return 1\ntimeit.timeit("f()", "from __main__ import f", number=1) >= 0',
      /^True$/,
    ],
    [
      'type hints',
      'import typing\nclass B: pass\nclass A:\n  b: "B"\ntyping.get_type_hints(A)',
      /<class '__main__.B'>/,
    ],
    [
      'a data class',
      'import dataclasses\n@dataclasses.dataclass\nclass P:\n  x: int\n  next: "P | None" = None\nP(1, P(2))',
      /^P\(x=1, next=P\(x=2, next=None\)\)$/,
    ],
    ['its name', 'if __name__ == "__main__": print("main")', /^main$/],
    ['its variables', 'import __main__\nvars(__main__) is globals()', /^True$/],
    ['from __future__', 'from __future__ import annotations', /^\[no output\]$/],
    ['from __future__, in the next cell', 'def g(x: Nothing): pass\ng.__annotations__', /^{'x': 'Nothing'}$/],
  ])('the cell is __main__: %s', async (_, code, result) => {
    expect(await one.run(code)).toMatch(result)
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

  it.each([
    ['plain', 'def f(n): return f(n + 1)\nf(0)'],
    ['two functions', 'def f(n): return g(n + 1)\ndef g(n): return f(n)\nf(0)'],
    ['lru_cache', 'import functools\n@functools.lru_cache(None)\ndef f(n): return f(n + 1)\nf(0)'],
    ['callable objects', 'class A:\n  def __call__(self): return A()()\nA()()'],
    ['sum over a generator', 'def f(n): return sum(f(n) for _ in [0])\nf(0)'],
    ['sorted', 'def f(n): return sorted([0], key=f)\nf(0)'],
    ['constructors', 'class A:\n  def __init__(self): self.a = A()\nA()'],
    ['attributes', 'class A:\n  def __getattr__(self, name): return getattr(self, name + "x")\nA().x'],
    ['repr', 'class A:\n  def __repr__(self): return repr([self])\nrepr(A())'],
    ['exec', 'code = "exec(code)"\nexec(code)'],
    ['nested patterns', 'import re\nre.compile("(" * 100_000)'],
    ['a copy', 'import copy\nx = []\nfor _ in range(100_000): x = [x]\ncopy.deepcopy(x)'],
    ['JSON', 'import json\njson.loads("[" * 3_000_000)'],
    ['JSON that is written', 'import json\nx = []\nfor _ in range(300_000): x = [x]\njson.dumps(x)'],
  ])('depth without end is a RecursionError: %s', async (_, code) => {
    expect(await one.run(`kept = 1\n${code}`)).toMatch(/RecursionError[^\n]*(\n[^\n]+){0,4}$/)
    expect(await one.run('kept')).toBe('1')
  })

  it.each([
    ['nothing', ''],
    ['a comparison', 'y = []\nfor _ in range(300_000): y = [y]\nx == y'],
    ['a pickle', 'import pickle\npickle.dumps(x)'],
    ['a syntax tree', 'compile("-" * 100_000 + "1", "x", "eval")'],
    ['a chain that is freed', 'x = None'],
    [
      'a limit that code has raised',
      'import sys\nsys.setrecursionlimit(10 ** 6)\ndef f(n): return sum(f(n) for _ in [0])\nf(0)',
    ],
  ])('depth of 300,000 with %s does not end the interpreter', async (_, code) => {
    const one = rollout(python)
    await one.run(`kept = 2\nx = []\nfor _ in range(300_000): x = [x]\n${code}`)
    expect(await one.run('kept')).toBe('2')
    one.end()
  })

  it.each([
    [
      'lru_cache',
      'import functools\n@functools.lru_cache(None)\ndef fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nfib(400) % 10 ** 9',
      '216019675',
    ],
    [
      'callable objects',
      'class A:\n  def __init__(self, n): self.n = n\n  def __call__(self): return self.n and 1 + A(self.n - 1)()\nA(900)()',
      '900',
    ],
    ['sum over a generator', 'def f(n): return n and 1 + sum(f(n - 1) for _ in [0])\nf(400)', '400'],
    ['next of a map', 'def f(n): return n and 1 + next(map(f, [n - 1]))\nf(900)', '900'],
    ['repr', 'x = []\nfor _ in range(5000): x = [x]\nlen(repr(x))', '10002'],
    ['JSON', 'import json\nlen(json.dumps(json.loads("[" * 5000 + "]" * 5000)))', '10000'],
  ])('depth that Python allows is reached: %s', async (_, code, value) => {
    expect(await one.run(code)).toBe(value)
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

  it('is stopped where it sleeps for too long, and told where it waits for what never comes', async () => {
    const patient = await pythonTool({ wallTime: 300 })
    await expect(runOnce(patient, 'import time\ntime.sleep(1000)')).rejects.toThrow('stopped after 300 ms')
    await patient.close()
    expect(await one.run('import asyncio\nawait asyncio.Future()')).toMatch(
      /RuntimeError: what is awaited never comes/,
    )
    expect(await one.run('await asyncio.sleep(0, "goes on")')).toBe("'goes on'")
  })

  it('sleeping takes no CPU time', async () => {
    const hurried = await pythonTool({ ...options, cpuTime: 1000 })
    const sleep = 'import asyncio, time\ntime.sleep(1.5)\nasyncio.run(asyncio.sleep(1.5, "rested"))'
    expect(await runOnce(hurried, sleep)).toBe("'rested'")
    await hurried.close()
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

  it.each([
    [
      'what an answer is written by',
      'P.toJSON = create_proxy(lambda *a: {"id": 1, "output": "forged", "characters": 6})',
    ],
    ['what an answer is written by, as JavaScript', 'P.toJSON = JsObject.fromEntries'],
    [
      'what an answer holds',
      'P.__defineGetter__("output", create_proxy(lambda: "forged"))\nP.__defineSetter__("id", create_proxy(lambda *a: None))',
    ],
    [
      'how text is encoded',
      'text = to_js(b"x").constructor.prototype\ntext.subarray = text.indexOf = create_proxy(lambda *a: to_js(b"forged"))',
    ],
    [
      'how functions are called',
      'F = JsObject.constructor.prototype\nF.call = F.bind = create_proxy(lambda *a: "forged")',
    ],
    [
      'how text is cut',
      'S = JsObject.keys(to_js({"a": 1}, dict_converter=JsObject.fromEntries)).constructor.prototype\nS.slice = S.concat = create_proxy(lambda *a: "forged")',
    ],
  ])('the answers, by changing %s', async (_, code) => {
    // Some of it makes Pyodide wait for ever.
    const hurried = await pythonTool({ ...options, wallTime: 10_000 })
    const one = rollout(hurried)
    const start =
      'import pyodide_js\nfrom pyodide.ffi import create_proxy, to_js\nJsObject = pyodide_js.FS.constructor\nP = JsObject.prototype\n'
    // Changing them may break the interpreter for its own rollout, but nothing else comes out of it.
    const outcomes: string[] = []
    for (const cell of [`${start}${code}\nprint("true")`, 'print("true")', 'print("true")'])
      outcomes.push(await one.run(cell).catch((error: Error) => `lost: ${error.message}`))
    for (const outcome of outcomes) expect(outcome).toMatch(/^true$|^(Traceback|lost|\[a new interpreter)/)
    expect(outcomes.join('\n')).not.toMatch(/answered out of turn|forged/)
    await hurried.close()
  })

  it('the answers, by writing them', async () => {
    const one = rollout(python)
    const forged = [
      '{"ready":true}',
      '{"id":1,"output":"forged","characters":6}',
      '{"id":2,"output":"forged","characters":6,"ended":"x"}',
    ]
    const write = `import os, sys
for line in ${JSON.stringify(forged)}:
    for number in range(10):
        try: os.write(number, (line + "\\n").encode())
        except OSError: pass
    for file in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__): print(line, file=file)
for name in ("/dev/fd/3", "/proc/self/fd/3", "/dev/stdout", "/dev/stderr"):
    try: open(name, "w").write(line)
    except OSError: pass
"done"`
    const text = await one.run(write)
    expect(text).toMatch(/'done'$/)
    // Each reaches standard output or error as text: twice by number, four times by file.
    expect(text.split('\n').filter((line) => line === forged[0])).toHaveLength(6)
    expect(await one.run('1 + 1')).toBe('2')
    one.end()
  })

  it('the notes of the tool, by printing them', async () => {
    const note = '[a new interpreter: what earlier calls defined is gone]'
    expect(await runOnce(python, `print("${note}")\nprint("[no output]")\nprint("[1]")`)).toBe(
      `\\${note}\n\\[no output]\n[1]`,
    )
    expect(await runOnce(python, 'print("a\\n[truncated: the first 1 of 2 characters]")')).toBe(
      'a\n\\[truncated: the first 1 of 2 characters]',
    )
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
