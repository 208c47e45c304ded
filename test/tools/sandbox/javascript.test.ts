import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { javascriptTool } from '../../../lib/tools/javascript.js'
import type { CodeTool } from '../../../lib/tools/sandbox/code-tool.js'
import { ToolTimeoutError } from '../../../lib/tools/tool-timeout-error.js'
import { type Rollout, rollout, runOnce } from './call.js'

let javascript: CodeTool
let one: Rollout
// Generous, for machines that are slow or busy; tests of a limit set their own.
const patience = { cpuTime: 60_000, wallTime: 170_000 }
beforeAll(async () => {
  javascript = await javascriptTool({ ...patience, output: 2000 })
  one = rollout(javascript)
})
afterAll(() => javascript.close())

describe('javascript', () => {
  it.each([
    ['console.log("a", 1, [2], { b: 3n }); 6 * 7', 'a 1 [2] {"b":"3n"}\n42'],
    ['"text"', '"text"'],
    ['undefined', '[no output]'],
    ['const declared = 5', '[no output]'],
    ['declared + 1', '6'],
    ['[1, , -0, new Map([[1, { a: 2 }]])]', '[1,null,0,{}]'],
    ['new Map([[1, { a: 2 }]])', 'Map [[1,{"a":2}]]'],
    ['new Set("aab")', 'Set ["a","b"]'],
    ['(function named() {})', '[Function named]'],
    ['/x/g', '/x/g'],
    ['const loop = {}; loop.loop = loop; loop', '[object Object]'],
    ['(async () => { await 1; return "later" })()', '"later"'],
    ['(async () => { throw new TypeError("later") })()', expect.stringMatching(/^TypeError: later\n/)],
    ['new Promise(() => {})', expect.stringContaining('nothing will settle')],
    ['[..."héllo😀"].length', '6'],
    [
      'throw new RangeError("why")',
      expect.stringMatching(/^RangeError: why\n {4}at <eval> \(<cell \d+>:1:\d+\)$/),
    ],
    ['throw null', 'Uncaught null'],
    ['let x = (', expect.stringMatching(/^SyntaxError: .*\n {4}at <cell \d+>:1:\d+$/)],
  ])('%s', async (code, result) => {
    expect(await one.run(code)).toEqual(result)
  })

  it('keeps state within a rollout and none across two', async () => {
    await one.run('globalThis.secret = 1; Array.prototype.leak = 2; let hidden = 3')
    const probe = '[typeof secret, typeof [].leak, typeof hidden].join()'
    expect(await one.run(probe)).toBe('"number,number,number"')
    expect(await runOnce(javascript, probe)).toBe('"undefined,undefined,undefined"')
    one.end()
    one = rollout(javascript)
    expect(await one.run(probe)).toBe('"undefined,undefined,undefined"')
  })
})

describe('the limits of javascript', () => {
  let hurried: CodeTool
  beforeAll(async () => {
    hurried = await javascriptTool({ ...patience, cpuTime: 1000 })
  })
  afterAll(() => hurried.close())

  it.each([
    ['a loop', 'for (;;);'],
    ['a loop of promises', 'const again = () => { Promise.resolve().then(again) }; again()'],
    ['a regular expression', '/(a+)+$/.test("a".repeat(40) + "b")'],
    ['a loop in finally', '(function again() { try { for (;;); } finally { again() } })()'],
  ])('CPU: %s', async (_, code) => {
    const error = await runOnce(hurried, code).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ToolTimeoutError)
    expect(String(error)).toContain('1000 ms of CPU time')
  })

  it.each([
    ['strings', 'const kept = []; for (;;) kept.push("x".repeat(1000) + kept.length)', /out of memory/],
    ['a buffer', 'new ArrayBuffer(2e9)', /out of memory|RangeError/],
    ['arrays', 'let doubled = ["x"]; for (;;) doubled = doubled.concat(doubled)', /out of memory/],
    ['one string', 'let text = "x"; for (;;) text += text', /string too long|out of memory/],
    ['promises', 'const again = () => Promise.resolve().then(again); again()', /out of memory/],
    ['depth', '(function deeper() { return deeper() + 1 })()', /stack overflow/],
    ['depth in a getter', '({ get x() { return this.x } }).x', /stack overflow/],
    ['depth in a proxy', 'new Proxy({}, { get: (target, key, self) => self[key] }).x', /stack overflow/],
  ])('memory: %s', async (_, code, message) => {
    // The code gets an error if that is possible, else the interpreter ends.
    const outcome = await runOnce(javascript, code).catch((error: Error) => error.message)
    expect(outcome).toMatch(message)
  })

  it.each([
    ['nesting that is parsed', 'eval("(".repeat(1e5))'],
    [
      'nesting that is written',
      'let nested = []; for (let i = 0; i < 1e5; i++) nested = [nested]; JSON.stringify(nested)',
    ],
    [
      'a chain that is freed',
      'let chain = null; for (let i = 0; i < 1e6; i++) chain = { chain }; chain = null; 1',
    ],
  ])('%s takes no more than its interpreter', async (_, code) => {
    await runOnce(javascript, code).catch((error: Error) =>
      expect(error.message).toContain('the interpreter'),
    )
    expect(await runOnce(javascript, '1 + 1')).toBe('2')
  })

  it('output: a flood, and a huge result', async () => {
    const flood = await one.run('for (let i = 0; i < 20000; i++) console.log("flood")')
    expect(flood).toMatch(/\[truncated: the first 2000 of 120000 characters\]$/)
    expect(await one.run('"x".repeat(5e6)')).toMatch(/the first 2000 of 5000003 characters\]$/)
  })
})

describe('what javascript code cannot reach', () => {
  it.each([
    ['process', 'typeof process', '"undefined"'],
    ['require', 'typeof require', '"undefined"'],
    ['fetch', 'typeof fetch', '"undefined"'],
    ['WebAssembly', 'typeof WebAssembly', '"undefined"'],
    ['timers', 'typeof setTimeout', '"undefined"'],
    ['modules of QuickJS', 'typeof std + typeof os', '"undefinedundefined"'],
    ['another realm by Function', 'Function("return typeof process")()', '"undefined"'],
    [
      'another realm by console',
      'console.log.constructor.constructor("return typeof process")()',
      '"undefined"',
    ],
    [
      'another realm by an error',
      'try { null.x } catch (e) { e.constructor.constructor("return typeof process")() }',
      '"undefined"',
    ],
    [
      'another realm by the stack',
      '(() => { const f = function () { return f.caller }; try { return typeof f() } catch { return "none" } })()',
      /"(none|undefined|object)"/,
    ],
    ['a module', 'import("fs")', /Error|nothing will settle/],
    ['a module by URL', 'import("file:///etc/passwd")', /Error|nothing will settle/],
  ])('%s', async (_, code, outcome) => {
    expect(await one.run(code)).toEqual(
      typeof outcome === 'string' ? outcome : expect.stringMatching(outcome),
    )
  })

  it('the sandbox itself, by changing what it shares a realm with', async () => {
    await one.run(`
      Object.prototype.toJSON = () => 'evil'
      Array.prototype.map = () => { throw new Error('map') }
      Array.prototype.join = () => { throw new Error('join') }
      JSON.stringify = () => { throw new Error('stringify') }
      String = Number = Map = Set = Error = undefined
      Object.prototype.get = () => 1
      Object.defineProperty(Object.prototype, 'id', { set() {}, get: () => 7 })`)
    // The answer may be anything, as it concerns only this rollout; the process goes on and answers in turn.
    await one.run('({ a: 1 })')
    expect(await one.run('40 + 2')).toBe('42')
    expect(await runOnce(javascript, '({ a: 1 })')).toBe('{"a":1}')
  })
})
