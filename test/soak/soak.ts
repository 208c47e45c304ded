// Serves a small policy to clients of every kind and trains it on what they play, round after round, and measures after each round.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createAtlas } from '../../lib/families.js'
import {
  type AgentServer,
  createServer,
  Policy,
  packPolicyBatch,
  type Rollout,
  Trainer,
} from '../../lib/index.js'
import type { Work, WorkDone } from './client-work.js'

/** What is held after a round, once everything that was going on has ended. Bytes, unless it says otherwise. */
export interface Held {
  /** Rollouts so far. */
  rollouts: number
  minutes: number
  rss: number
  heap: number
  external: number
  arrayBuffers: number
  /** Cached keys and values; prompts stay cached while the server runs. */
  kv: number
  /** Sequences of the engine, those of cached prompts included. */
  sequences: number
  files: number
  handles: number
}

export interface SoakOptions {
  seed: number
  /** Rollouts of a round, after which is measured. */
  rolloutsPerRound: number
  /** Asked after each round. */
  goesOn(held: readonly Held[]): boolean
  onRound?: (held: Held) => void
}

export interface SoakResult {
  held: Held[]
  played: Record<string, number>
  unexpected: string[]
  unexpectedCount: number
  trainedRollouts: number
  /** After server and policy were left by everybody: what nobody holds any more. */
  end: { sequences: number; kv: number; files: number; filesBefore: number; liveRollouts: number }
}

// Rollouts that nobody comes back to are given up after this time: longer than a client on a busy machine takes between two
// requests, and than Node keeps a connection that nobody uses.
const idleTimeout = 10_000
const rolloutsPerUpdate = 64

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

export async function soak({ seed, rolloutsPerRound, goesOn, onRound }: SoakOptions): Promise<SoakResult> {
  const policy = await smallPolicy(seed)
  const filesBefore = openFiles()
  const learner = new Learner(policy)
  const server = createServer({
    policy,
    idleTimeout,
    onRollout: (rollout) => learner.take(rollout),
    onWarning: () => {}, // Rollouts that are given up: they are meant to be.
  })
  const { url } = await server.listen()
  const clients = fork(join(import.meta.dirname, 'clients.ts'), { execArgv: ['--import', 'tsx'] })
  const result: SoakResult = {
    held: [],
    played: {},
    unexpected: [],
    unexpectedCount: 0,
    trainedRollouts: 0,
    end: { sequences: 0, kv: 0, files: 0, filesBefore, liveRollouts: 0 },
  }
  const begun = performance.now()
  try {
    do {
      const first = result.held.length * rolloutsPerRound
      const done = await playRound(clients, { url, seed, first, rollouts: rolloutsPerRound, atOnce: 16 })
      addRound(result, done)
      await learner.train()
      await trainInFolder(policy)
      await everyoneHasLeft(server)
      const held = await measure(policy, first + rolloutsPerRound, (performance.now() - begun) / 60_000)
      result.held.push(held)
      onRound?.(held)
    } while (goesOn(result.held))
    result.trainedRollouts = learner.trained
    result.end = await leave(server, policy, clients, filesBefore)
    return result
  } finally {
    clients.kill()
    await server.close()
    await policy.close()
  }
}

function smallPolicy(seed: number): Promise<Policy> {
  const { tokenizer, template, model } = createAtlas()
  const small = { hiddenSize: 32, layers: 2, heads: 2, kvHeads: 1, headDim: 16, intermediateSize: 64 }
  return Policy.create({ tokenizer, template, config: { ...model, ...small }, seed, threads: 1 })
}

async function playRound(clients: ChildProcess, work: Work): Promise<WorkDone> {
  clients.send(work)
  const over = new AbortController()
  const { signal } = over
  try {
    const [done, how] = await Promise.race([
      once(clients, 'message', { signal }),
      once(clients, 'exit', { signal }).then(([code, killed]) => [undefined, killed ?? code]),
    ])
    if (done === undefined) throw new Error(`the clients ended with ${how}`)
    return done as WorkDone
  } finally {
    over.abort()
  }
}

function addRound(result: SoakResult, { played, unexpected, unexpectedCount }: WorkDone): void {
  for (const [name, count] of Object.entries(played)) result.played[name] = (result.played[name] ?? 0) + count
  result.unexpectedCount += unexpectedCount
  if (result.unexpected.length < 20) result.unexpected.push(...unexpected)
}

/** Trains on rollouts that clients have finished, while others are played. */
class Learner {
  trained = 0
  #waiting: Rollout[] = []
  #training: Promise<void> | undefined

  constructor(readonly policy: Policy) {}

  take(rollout: Rollout): void {
    this.#waiting.push(rollout)
    if (this.#waiting.length >= rolloutsPerUpdate) this.#training ??= this.#update()
  }

  /** Resolves once all rollouts that were taken are trained. */
  async train(): Promise<void> {
    while (this.#training || this.#waiting.length > 0) {
      this.#training ??= this.#update()
      await this.#training
    }
  }

  async #update(): Promise<void> {
    try {
      const rollouts = this.#waiting.splice(0, rolloutsPerUpdate)
      const advantaged = rollouts.map((rollout, index) => ({
        ...rollout,
        accuracyAdvantage: index % 2 === 0 ? 1 : -1,
        efficiencyAdvantage: 0,
      }))
      await this.policy.policyStep(packPolicyBatch(advantaged), {}, { learningRate: 1e-5 })
      this.trained += rollouts.length
    } finally {
      this.#training = undefined
    }
  }
}

/** Two steps of a whole run with tools, run folder, checkpoint and index. */
async function trainInFolder(policy: Policy): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hdpo-soak-'))
  try {
    const { trainTasks, tools, reward } = createAtlas({ answerNoise: 0.5 })
    const trainer = new Trainer({
      policy,
      tasks: trainTasks.slice(0, 4),
      tools,
      reward,
      algorithm: { name: 'hdpo' },
      groupSize: 4,
      promptsPerStep: 2,
      steps: 2,
      rollout: { maxTurns: 2, maxTurnTokens: 16 },
      optimizer: { learningRate: 1e-5 },
      output: join(folder, 'run'),
    })
    for await (const _ of trainer.run());
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Rollouts that were left are given up after a while; connections that are kept alive are closed by their idle time. */
async function everyoneHasLeft(server: AgentServer): Promise<void> {
  while (server.metrics().liveRollouts > 0) await sleep(50)
  await sleep(100)
}

async function measure(policy: Policy, rollouts: number, minutes: number): Promise<Held> {
  // Some objects are freed by the first collection's finalizers.
  for (let pass = 0; pass < 3; pass++) {
    collectGarbage()
    await sleep(20)
  }
  const { rss, heapUsed: heap, external, arrayBuffers } = process.memoryUsage()
  const { live: sequences, kvBytesUsed: kv } = await policy.generationStats()
  const handles = process.getActiveResourcesInfo().length
  return { rollouts, minutes, rss, heap, external, arrayBuffers, kv, sequences, files: openFiles(), handles }
}

async function leave(
  server: AgentServer,
  policy: Policy,
  clients: ChildProcess,
  filesBefore: number,
): Promise<SoakResult['end']> {
  const exited = once(clients, 'exit')
  clients.kill()
  await exited
  await server.close()
  // What is released is freed in its turn on the engine's thread.
  const until = performance.now() + 10_000
  let { live: sequences, kvBytesUsed: kv } = await policy.generationStats()
  while ((sequences > 0 || openFiles() > filesBefore) && performance.now() < until) {
    await sleep(50)
    ;({ live: sequences, kvBytesUsed: kv } = await policy.generationStats())
  }
  return { sequences, kv, files: openFiles(), filesBefore, liveRollouts: server.metrics().liveRollouts }
}

/** Open files, pipes and sockets of this process. */
function openFiles(): number {
  return readdirSync('/proc/self/fd').length
}
