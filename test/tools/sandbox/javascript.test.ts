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
    ['console.log("a", 1, [2], { b: 3n }); 6 * 7', 'a 1 [2] {"b":3n}\n42'],
    ['"text"', '"text"'],
    ['undefined', '[no output]'],
    ['const declared = 5', '[no output]'],
    ['declared + 1', '6'],
    ['[1, , -0, new Map([[1, { a: 2 }]])]', '[1,undefined,-0,Map [[1,{"a":2}]]]'],
    [
      '({ n: NaN, i: -Infinity, u: undefined, f() {} })',
      '{"n":NaN,"i":-Infinity,"u":undefined,"f":[Function f]}',
    ],
    [
      '[new Date(0), new Date("no"), /x/, new Error("why")]',
      '["1970-01-01T00:00:00.000Z",Invalid Date,/x/,Error: why]',
    ],
    ['new Map([["a", new Map([["b", new Set([NaN])]])]])', 'Map [["a",Map [["b",Set [NaN]]]]]'],
    ['[new Uint8Array([1, 2]), Object(1), Object("s"), null]', '[Uint8Array [1,2],1,"s",null]'],
    ['({ toJSON() { return [NaN] } })', '[NaN]'],
    ['({ a: 1, get b() { throw new Error("no") }, c: 3 })', '{"a":1,"b":[Getter throws],"c":3}'],
    [
      '[new WeakMap(), new WeakSet(), new ArrayBuffer(2), Promise.resolve(1)]',
      '[[WeakMap],[WeakSet],[ArrayBuffer],[Promise]]',
    ],
    [
      'console.log("%s has %d of %i%% (%j) %c%x", "a", "3", 4.9, { b: 1 }, "color: red", "rest"); console.log("%s"); console.log(1, "%s")',
      'a has 3 of 4% ({"b":1}) %x rest\n%s\n1 %s',
    ],
    [
      'let deep = []; for (let i = 0; i < 1e4; i++) deep = [deep]; deep',
      expect.stringMatching(/^\[{100}\[\.{3}\]{101}$/),
    ],
    ['let wide = 1; for (let i = 0; i < 60; i++) wide = [wide, wide]; wide', expect.stringMatching(/^\[\[/)],
    [
      'console.table([{ a: 1, b: "x" }, { a: NaN }])',
      '(index) | a   | b\n------- | --- | -\n0       | 1   | x\n1       | NaN |',
    ],
    [
      'console.table([1, [2, 3]])',
      '(index) | 0 | 1 | Values\n------- | - | - | ------\n0       |   |   | 1\n1       | 2 | 3 |',
    ],
    ['console.table(new Map([["k", { v: 1 }]]), ["v"])', '(index) | v\n------- | -\nk       | 1'],
    [
      'console.group("g"); console.dir({ a: 1 }); console.groupEnd(); console.assert(false, "x"); console.count()',
      'g\n  {"a":1}\nAssertion failed: x\ndefault: 1',
    ],
    ['console.log("before\\0after"); "a\\0b"', 'before\0after\n"a\\u0000b"'],
    ['"x\0y".length', '3'],
    ['new Map([[1, { a: 2 }]])', 'Map [[1,{"a":2}]]'],
    ['new Set("aab")', 'Set ["a","b"]'],
    ['(function named() {})', '[Function named]'],
    ['/x/g', '/x/g'],
    ['const loop = {}; loop.loop = loop; loop', '{"loop":[Circular]}'],
    ['(async () => { await 1; return "later" })()', '"later"'],
    ['(async () => { throw new TypeError("later") })()', expect.stringMatching(/^TypeError: later\n/)],
    ['new Promise(() => {})', expect.stringContaining('nothing will settle')],
    ['[..."héllo😀"].length', '6'],
    [
      'throw new RangeError("why")',
      expect.stringMatching(/^RangeError: why\n {4}at <eval> \(<cell \d+>:1:\d+\)$/),
    ],
    ['throw null', 'Uncaught null'],
    ['throw { a: NaN }', 'Uncaught {"a":NaN}'],
    ['throw [new Map()]', 'Uncaught [Map []]'],
    ['let x = (', expect.stringMatching(/^SyntaxError: .*\n {4}at <cell \d+>:1:\d+$/)],
  ])('%s', async (code, result) => {
    expect(await one.run(code)).toEqual(result)
  })

  it.each<[string, ...[code: string, result: unknown][]]>([
    ['constants', ['const n = 1', '[no output]'], ['const n = 2; n', '2'], ['let n; n', '2']],
    [
      'classes',
      ['class A { v = 1 }', '[no output]'],
      ['class A { v = 2 }\nnew A().v', '2'],
      ['A.name', '"A"'],
    ],
    [
      'patterns',
      ['const { a, b: [c] } = { a: 1, b: [2] }', '[no output]'],
      ['let [a, , d = 4] = [3]; [a, c, d]', '[3,2,4]'],
    ],
    [
      'functions over variables',
      ['const f = 1', '[no output]'],
      ['function f() { return 2 }\nf()', '2'],
      ['const f = () => 3; f()', '3'],
    ],
    [
      'what threw',
      ['const data = JSON.parse("{")', expect.stringMatching(/^SyntaxError/)],
      ['const data = [1]; data', '[1]'],
    ],
    [
      'the same name twice in one cell',
      ['const t = 1; const t = 2', expect.stringMatching(/^SyntaxError/)],
      ['const t = 3; t', '3'],
    ],
  ])('cells declare %s again', async (_, ...steps) => {
    for (const [code, result] of steps) expect(await one.run(code)).toEqual(result)
  })

  it.each([
    ['const r = await Promise.all([1, 2]); r', '[1,2]'],
    ['r', '[1,2]'],
    ['const { x, y: [z] } = await (async () => ({ x: 1, y: [2] }))(); [x, z]', '[1,2]'],
    ['let sum = 0\nfor (const v of [1, 2]) sum += await v\nsum', '3'],
    ['for await (const v of [Promise.resolve(4)]) console.log(v)', '4'],
    ['if (await true) { class Inner {} }\nclass Later { v = 5 }\nnew Later().v', '5'],
    ['function later() { return new Later().v }\nawait later()', '5'],
    ['later()', '5'],
    ['await 1; Promise.resolve("inner")', '"inner"'],
    ['await Promise.reject(new TypeError("no"))', expect.stringMatching(/^TypeError: no\n/)],
    ['await new Promise(() => {})', expect.stringContaining('nothing will settle')],
    ['const f = async () => await 6; f()', '6'],
    ['"await 1"', '"await 1"'],
  ])('a cell awaits: %s', async (code, result) => {
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
