import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { runToolCall } from '../../../lib/rollout/run-tool-call.js'
import { javascriptTool } from '../../../lib/tools/javascript.js'
import { pythonTool } from '../../../lib/tools/python.js'
import type { CodeTool } from '../../../lib/tools/sandbox/code-tool.js'
import { InterpreterProcess } from '../../../lib/tools/sandbox/interpreter-process.js'
import { resolveSandboxOptions, sandboxShape } from '../../../lib/tools/sandbox/options.js'
import { parsePs, processUsage } from '../../../lib/tools/sandbox/process-usage.js'
import { refuses } from '../../core/wrong-options.js'
import { rollout } from './call.js'

const sandboxKeys = Object.keys(sandboxShape).join(', ')
const limitsOf = (wallTime: number) => resolveSandboxOptions({ wallTime, output: 100 }, 'javascript')
// Longer than a busy machine takes for anything but an endless loop.
const patience = 120_000
let tool: CodeTool | undefined
afterEach(() => tool?.close())

/** The interpreters that this process started and that still run. */
function interpreters(): number {
  const children = execFileSync('/bin/ps', ['-o', 'ppid=,args=', '-A'], { encoding: 'utf8' }).split('\n')
  return children.filter(
    (line) => line.trim().startsWith(`${process.pid} `) && line.includes('-interpreter.mjs'),
  ).length
}

/** The processes, interpreters and the shells beside them, whose process group one of `leaders` leads. */
function groupsOf(leaders: readonly string[]): string[] {
  const processes = execFileSync('/bin/ps', ['-o', 'pgid=,stat=', '-A'], { encoding: 'utf8' })
    .trim()
    .split('\n')
  const running = processes
    .map((line) => line.trim().split(/\s+/))
    .filter(([, state]) => !state?.startsWith('Z'))
  return running.flatMap(([group = '']) => (leaders.includes(group) ? [group] : []))
}

function childrenOf(pid: number): string[] {
  const processes = execFileSync('/bin/ps', ['-o', 'pid=,ppid=,args=', '-A'], { encoding: 'utf8' })
    .trim()
    .split('\n')
  return processes.flatMap((line) => {
    const [child = '', parent, ...words] = line.trim().split(/\s+/)
    return parent === String(pid) && words.some((word) => word.endsWith('-interpreter.mjs')) ? [child] : []
  })
}

describe('a trainer that was killed with -9', () => {
  it.each([
    ['python', 'while True: pass'],
    ['python', 'sum(range(10 ** 12))'],
    ['python', 'import time; time.sleep(1000)'],
    ['python', '1'],
    ['javascript', 'for (;;);'],
    ['javascript', '1'],
  ])('leaves no interpreter behind: %s, %s', async (language, code) => {
    const program = fileURLToPath(new URL('killed-trainer.ts', import.meta.url))
    const trainer = spawn(process.execPath, ['--import', 'tsx', program, language, code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(trainer.stdout, 'data')
    const leaders = childrenOf(trainer.pid as number)
    expect(leaders.length).toBeGreaterThan(0)
    expect(groupsOf(leaders).length).toBe(2 * leaders.length)
    trainer.kill('SIGKILL')
    await expect.poll(() => groupsOf(leaders), { timeout: 60_000 }).toEqual([])
  })

  it('and an interpreter that ends leaves no shell behind', async () => {
    tool = await javascriptTool({ interpreters: 1, concurrency: 1, wallTime: patience })
    const one = rollout(tool)
    await one.run('1')
    const leaders = childrenOf(process.pid)
    expect(groupsOf(leaders).length).toBeGreaterThan(1)
    await tool.close()
    await expect.poll(() => groupsOf(leaders), { timeout: 60_000 }).toEqual([])
  })
})

describe('many rollouts', () => {
  it('64 run code side by side, each with its own state', async () => {
    tool = await javascriptTool({ wallTime: patience })
    const rollouts = Array.from({ length: 64 }, () => rollout(tool as CodeTool, 'same'))
    await Promise.all(rollouts.map((each, index) => each.run(`let mine = ${index}`)))
    const results = await Promise.all(rollouts.map((each) => each.run('mine')))
    expect(results).toEqual(rollouts.map((_, index) => String(index)))
    expect(interpreters()).toBeLessThanOrEqual(65)
    for (const each of rollouts) each.end()
    await expect.poll(interpreters, { timeout: 60_000 }).toBeLessThanOrEqual(1)
  })

  it('more than may be kept: the one unused for longest starts anew, and is told', async () => {
    tool = await javascriptTool({ interpreters: 2, concurrency: 1, wallTime: patience })
    const [a, b, c] = [rollout(tool), rollout(tool), rollout(tool)]
    await a.run('let x = 1')
    await b.run('let x = 2')
    await a.run('x')
    await c.run('let x = 3')
    // The interpreter that was given up has been killed; the kernel may take a moment to remove it.
    await expect.poll(interpreters, { timeout: 60_000 }).toBeLessThanOrEqual(2)
    expect(await a.run('x')).toBe('1')
    expect(await b.run('typeof x')).toBe(
      '[a new interpreter: what earlier calls defined is gone]\n"undefined"',
    )
    expect(await b.run('typeof x')).toBe('"undefined"')
  })

  it('a slow rollout with many calls does not keep others from their turn', async () => {
    tool = await javascriptTool({ concurrency: 1, wallTime: patience })
    const order: string[] = []
    const [greedy, other] = [rollout(tool), rollout(tool)]
    const work = 'for (let i = 0; i < 2e5; i++);'
    const calls = Array.from({ length: 5 }, (_, index) =>
      greedy.run(work).then(() => order.push(`greedy ${index}`)),
    )
    calls.push(other.run(work).then(() => order.push('other')))
    await Promise.all(calls)
    expect(order.indexOf('other')).toBeLessThanOrEqual(1)
  })

  it('a call that is stopped while it waits never runs', async () => {
    tool = await javascriptTool({ concurrency: 1, cpuTime: 1000, wallTime: patience })
    const [busy, waiting] = [rollout(tool), rollout(tool)]
    const stopped = new AbortController()
    const ends = Promise.allSettled([
      busy.run('for (;;);'),
      waiting.run('globalThis.ran = true', stopped.signal),
    ])
    stopped.abort(new Error('no more'))
    expect(await ends).toMatchObject([
      { reason: { message: expect.stringContaining('CPU time') } },
      { reason: { message: 'no more' } },
    ])
    expect(await waiting.run('typeof ran')).toBe('"undefined"')
  })

  it('close ends what runs, and what would run', async () => {
    tool = await javascriptTool({ cpuTime: patience, wallTime: patience })
    const one = rollout(tool)
    const running = one.run('for (;;);')
    setTimeout(() => void tool?.close(), 50)
    await expect(running).rejects.toThrow('closed')
    await expect(one.run('1')).rejects.toThrow('closed')
    await expect.poll(interpreters, { timeout: 60_000 }).toBe(0)
  })

  it('a rollout counts what the sandbox ends as a timeout or an error', async () => {
    tool = await javascriptTool({ cpuTime: 1000, wallTime: patience })
    const settings = {
      tools: [tool],
      toolTimeout: patience,
      toolConcurrency: 8,
      maxObservationCharacters: 500,
      rolloutId: 'r',
      rolloutEnded: new AbortController().signal,
      signal: new AbortController().signal,
    }
    const call = (code: string) =>
      runToolCall({ kind: 'call', name: 'javascript', arguments: { code } }, settings)
    expect(await call('1 + 1')).toMatchObject({ outcome: 'ok', observation: '2' })
    expect(await call('for (;;);')).toMatchObject({
      outcome: 'timeout',
      observation: expect.stringContaining('1000 ms of CPU time'),
    })
    expect(await call('globalThis.kept = null; for (;;) kept = { kept }')).toMatchObject({
      outcome: 'error',
      observation: expect.stringContaining('the interpreter ended'),
    })
  })
})

describe('an interpreter that misbehaves', () => {
  const pretend = (script: string, wallTime = patience) =>
    InterpreterProcess.start(
      { file: process.execPath, arguments: ['-e', `const fs = require('fs')\n${script}`] },
      limitsOf(wallTime),
    )
  const ready = 'fs.writeSync(3, JSON.stringify({ ready: true }) + "\\n")\n'
  const signal = new AbortController().signal

  it.each([
    ['never says that it is ready', 'fs.writeSync(3, "{}\\n")', /does not start: did not say/],
    ['dies at once', 'console.error("no such thing"); process.exit(4)', /exit code 4\)[\s\S]*no such thing/],
    ['speaks no JSON', 'fs.writeSync(3, "hello\\n")', /out of turn/],
  ])('that %s', async (_, script, message) => {
    await expect(pretend(script)).rejects.toThrow(message)
  })

  it.each([
    ['floods', 'setInterval(() => fs.writeSync(3, "x".repeat(1000)), 0)', /sent more than it may/],
    [
      'answers another call',
      'process.stdin.on("data", () => fs.writeSync(3, JSON.stringify({ id: 9, output: "", characters: 0 }) + "\\n"))',
      /out of turn/,
    ],
    ['answers nonsense', 'process.stdin.on("data", () => fs.writeSync(3, "null\\n"))', /out of turn/],
    ['hangs', 'process.stdin.resume()', /stopped after 2000 ms/],
    ['dies', 'process.stdin.on("data", () => process.kill(process.pid, "SIGSEGV"))', /SIGSEGV/],
    [
      'fills its memory',
      'process.stdin.on("data", () => { const kept = []; setInterval(() => kept.push(Buffer.alloc(2e7, 1)), 5) })',
      /more than 64 MiB/,
    ],
  ])('that %s', async (name, script, message) => {
    const interpreter = await pretend(ready + script, name === 'hangs' ? 2000 : patience)
    await expect(interpreter.run('1', signal)).rejects.toThrow(message)
    expect(interpreter.alive).toBe(false)
    await expect(interpreter.run('1', signal)).rejects.toThrow()
  })
})

describe.each([
  ['pythonTool', pythonTool, 'a whole number from 64 to 2048'],
  ['javascriptTool', javascriptTool, 'a whole number from 32 to 2048'],
] as const)('%s refuses', (name, make, memory) => {
  refuses(make, [
    [{ memory: 1 }, `${name}.memory: must be ${memory}, got 1`],
    [{ cpuTime: '1' }, `${name}.cpuTime: must be a number from 10 to 2147483647, got '1'`],
    [{ cpu: 1 }, `${name}.cpu: must be left out (there is no such option; known: ${sandboxKeys}), got 1`],
    [{ interpreters: 1, concurrency: 2 }, `${name}.interpreters: must be at least 2, the concurrency, got 1`],
    [{ name: 'a b' }, `${name}.name: must be 1 to 64 letters, digits, "_" or "-", got 'a b'`],
  ])
})

describe('process usage', () => {
  it('of this process', async () => {
    const usage = await processUsage(process.pid)
    expect(usage?.cpuMilliseconds).toBeGreaterThan(0)
    expect(usage?.residentBytes).toBeGreaterThan(10 * 2 ** 20)
    expect(await processUsage(2 ** 22 + 1)).toBeUndefined()
  })

  it('as ps writes it', () => {
    expect(parsePs('  2048   0:01.50\n')).toEqual({ cpuMilliseconds: 1500, residentBytes: 2048 * 1024 })
    expect(parsePs(' 1 1-02:03:04')).toEqual({ cpuMilliseconds: 93_784_000, residentBytes: 1024 })
    expect(parsePs('')).toBeUndefined()
  })
})
