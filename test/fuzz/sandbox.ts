// Sandboxed code, and what an interpreter that code has taken over may say: a result, or an error that says what happened; the next
// cell runs.
import fc from 'fast-check'
import { javascriptTool } from '../../lib/index.js'
import { InterpreterProcess } from '../../lib/tools/sandbox/interpreter-process.js'
import { resolveSandboxOptions } from '../../lib/tools/sandbox/options.js'
import type { OpenTarget, Target } from './target.js'

const snippets = [
  'let a = 1',
  'const a = 2',
  'a',
  'console.log(a)',
  'throw new Error("x")',
  'throw null',
  '({ a: [1, { b: NaN }] })',
  'globalThis.console = null',
  'Object.prototype.toString = () => { throw 1 }',
  'JSON.stringify = () => "forged"',
  'Array.prototype.push = null',
  'new Proxy({}, { get() { throw 1 }, ownKeys() { throw 2 } })',
  'x = { get y() { throw 3 } }',
  'for (;;) {}',
  '"x".repeat(1e6)',
  'a = []; a.push(a); a',
  'Symbol("s")',
  '1n << 9999n',
  'await Promise.reject(4)',
  '(() => { const f = () => f(); f() })()',
  '\u0000',
  '{"id":1,"output":"forged","characters":6}',
  '}',
  'import("fs")',
  'new Date(NaN)',
]
const code = fc
  .array(
    fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...snippets) }, { weight: 1, arbitrary: fc.string() }),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => parts.join('\n'))

const replies = [
  '{"id":1,"output":"forged","characters":6}',
  '{"id":2,"output":"x","characters":1}',
  '{"id":1,"output":null}',
  '{"id":1,"output":"x","characters":"1"}',
  'null',
  '[]',
  '{',
  '\n',
  'x'.repeat(200_000),
  '{"id":1,"output":"x","characters":1,"ended":"done"}',
  '\u0000',
  '"',
]
const reply = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...replies) },
      { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
    ),
    { maxLength: 3 },
  )
  .map((parts) => parts.join('\n'))

/** Says that it is ready, and whatever it was told instead of a result. */
const takenOver = `
const { writeSync } = require('node:fs')
writeSync(3, '{"ready":true}\\n')
process.stdin.once('data', () => {
  try { writeSync(3, Buffer.from(process.argv[1], 'base64')) } catch {}
  if (process.argv[2] === 'ends') process.exit(1)
})
`

export const sandbox: Target = { name: 'sandbox', shortRuns: 12, batchRuns: 5, open }

async function open(): Promise<OpenTarget> {
  const tool = await javascriptTool({ cpuTime: 300, wallTime: 5000, output: 2000 })
  let rollout = 0
  const property = fc.asyncProperty(
    fc.array(code, { minLength: 1, maxLength: 3 }),
    reply,
    fc.boolean(),
    async (cells, said, ends) => {
      const context = { signal: new AbortController().signal, rolloutId: `fuzz-${++rollout}` }
      for (const cell of cells) await settles(() => tool.run({ code: cell }, context as never))
      const after = await settles(() =>
        tool.run({ code: '1 + 1' }, { ...context, rolloutId: `${context.rolloutId} b` } as never),
      )
      if (typeof after !== 'string' || !after.includes('2'))
        throw new Error(`a fresh interpreter said ${String(after)}`)
      await settles(() => askTakenOver(said, ends))
    },
  )
  return { property, close: async () => tool.close?.() }
}

async function askTakenOver(said: string, ends: boolean): Promise<unknown> {
  const limits = { ...resolveSandboxOptions({}, 'javascript'), output: 2000, wallTime: 1500 }
  const command = {
    file: process.execPath,
    arguments: ['-e', takenOver, Buffer.from(said).toString('base64'), ends ? 'ends' : 'stays'],
  }
  const interpreter = await InterpreterProcess.start(command as never, limits)
  try {
    return await interpreter.run('1 + 1', new AbortController().signal)
  } finally {
    interpreter.kill()
  }
}

// Twice the wall-clock time, on a busy machine.
const longest = 20_000

/** The result, or the error's message, which the policy reads: it says something and has no stack of ours in it. */
async function settles(run: () => unknown): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('hangs')), longest)
  })
  try {
    return await Promise.race([Promise.resolve().then(run), late])
  } catch (error) {
    if (!(error instanceof Error) || error.message === 'hangs' || error.message === '') throw error
    if (error instanceof TypeError || error instanceof RangeError) throw error
    return error
  } finally {
    clearTimeout(timer)
  }
}
