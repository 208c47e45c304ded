// A tool server that dies while it is needed: every call gives the right value, or an error that says what happened, in time.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../lib/core/random.js'
import { connectMcp, type Tool } from '../../lib/index.js'
import { type Fault, identical, type Laboratory, refused, type Verdict, wrong } from './campaign.js'

const program = join(import.meta.dirname, 'dying-tool-server.mjs')
const deaths = ['before', 'after', 'half', 'garbage', 'signal', 'silent', 'closed output']

export const toolServers: Fault[] = [{ name: 'tool server dies', tries: 28, attempt: dyingServer }]

// Of a call, and of a call that waits for a server that starts again, on a busy machine.
const timeout = 1500
const patience = 20_000

async function dyingServer(_laboratory: Laboratory, random: Random, index: number): Promise<Verdict> {
  const plan = {
    at: random.integer(1, 4),
    how: deaths[index % deaths.length],
    repeatable: random.next() < 0.5,
  }
  const connection = await connectMcp({
    command: process.execPath,
    args: [program, JSON.stringify(plan)],
    timeout,
    patience,
  })
  try {
    const calls = Array.from({ length: 8 }, (_, place) => call(connection.tools[0] as Tool, place, random))
    const verdicts = await Promise.all(calls)
    const worst = ['wrong', 'refused'].map((kind) => verdicts.find((verdict) => verdict.kind === kind))
    return worst.find((verdict) => verdict !== undefined) ?? identical
  } finally {
    await connection.close()
  }
}

/** One after the other or at once, as chance has it. */
async function call(tool: Tool, place: number, random: Random): Promise<Verdict> {
  await sleep(random.next() < 0.5 ? 0 : place * 20)
  const n = random.integer(-1000, 1000)
  const begun = performance.now()
  const outcome = await Promise.resolve()
    .then(() => tool.run({ n } as never, { signal: new AbortController().signal } as never))
    .then(
      (value) => ({ value: String(value) }),
      (error: Error) => ({ error }),
    )
  const took = performance.now() - begun
  // A server that is silent is asked once more by a ping, which may take 5 s, before it is replaced.
  if (took > timeout + patience + 6000) return wrong(`a call took ${took.toFixed(0)} ms`)
  if ('value' in outcome)
    return outcome.value === String(2 * n) ? identical : wrong(`${n} doubled was ${outcome.value}`)
  const { error } = outcome
  if (/server|no answer in/.test(error.message)) return refused(error.message)
  return wrong(`an error that does not say what happened: ${error.stack}`)
}
