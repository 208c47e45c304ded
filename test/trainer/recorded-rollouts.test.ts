// Training on rollouts that a server recorded earlier, with a real policy, small and random.
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createAtlas } from '../../lib/families/atlas/atlas.js'
import { Policy } from '../../lib/policy/policy.js'
import { reportedOutcome } from '../../lib/rewards/rewards.js'
import { createServer } from '../../lib/server/create-server.js'
import { RolloutLog } from '../../lib/server/rollout-log.js'
import type { StepMetrics } from '../../lib/trainer/metrics.js'
import { type RecordedRolloutsOptions, recordedRollouts } from '../../lib/trainer/recorded-rollouts.js'
import { Trainer } from '../../lib/trainer/trainer.js'
import type { TrainerOptions } from '../../lib/trainer/trainer-options.js'
import { post } from '../server/conversations.js'

let folder: string
let path: string
let policy: Policy
let runs = 0

function createPolicy(seed: number): Promise<Policy> {
  const { tokenizer, template, model } = createAtlas()
  const small = { hiddenSize: 32, layers: 2, heads: 2, kvHeads: 1, headDim: 16, intermediateSize: 64 }
  return Policy.create({ tokenizer, template, config: { ...model, ...small }, seed, threads: 1 })
}

/** Records two questions with four rollouts each, two of them right; one question with one; and one rollout that was given up. */
async function record(): Promise<void> {
  const log = await RolloutLog.open(folder, (message) => expect.unreachable(message))
  const server = createServer({ policy, onRollout: (rollout) => log.append(rollout) })
  await server.listen()
  const play = async (task: string, number: number, temperature = 1) => {
    const sampling = { seed: number, temperature }
    const rollout = server.startRollout({ task: { id: task }, sampling })
    const body = { model: 'policy', messages: [{ role: 'user', content: `${task}?` }], max_tokens: 12 }
    const headers = { authorization: `Bearer ${rollout.apiKey}` }
    const { status, json } = await post(`${rollout.baseURL}/chat/completions`, body, headers)
    expect(status, JSON.stringify(json)).toBe(200)
    return rollout
  }
  for (const task of ['one', 'two']) {
    for (let number = 0; number < 4; number++) {
      await (await play(task, number)).finish({ correct: number % 2 === 0 })
    }
  }
  await (await play('lonely', 9)).finish({ correct: true })
  await (await play('given-up', 9)).abandon()
  await server.close()
  path = join(folder, 'rollouts.jsonl')
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-recorded-'))
  policy = await createPolicy(3)
  await record()
})
afterAll(async () => {
  await policy?.close()
  await rm(folder, { recursive: true, force: true })
})
beforeEach(() => {
  runs++
})

const open = (options: Partial<RecordedRolloutsOptions> = {}) =>
  recordedRollouts({ path, policy, groupSize: 4, ...options })

async function train(
  recorded: Awaited<ReturnType<typeof recordedRollouts>>,
  options: Partial<TrainerOptions> = {},
): Promise<{ metrics: StepMetrics[]; warnings: string[] }> {
  const warnings: string[] = []
  const trainer = new Trainer({
    policy,
    tasks: recorded.tasks,
    runGroup: recorded.runGroup,
    tools: [],
    reward: { answer: reportedOutcome() },
    algorithm: { name: 'hdpo' },
    groupSize: 4,
    promptsPerStep: 2,
    steps: 1,
    optimizer: { learningRate: 1e-4 },
    output: join(folder, `run-${runs}`),
    onWarning: (message) => warnings.push(message),
    ...options,
  })
  const metrics: StepMetrics[] = []
  for await (const step of trainer.run()) metrics.push(step.metrics)
  return { metrics, warnings }
}

describe('recordedRollouts', () => {
  it('groups what was served by its tasks and says what it leaves out', async () => {
    const { tasks, count, leftOut } = await open()
    expect(tasks).toEqual([
      { id: 'one', messages: [{ role: 'user', content: 'one?' }], answer: undefined },
      { id: 'two', messages: [{ role: 'user', content: 'two?' }], answer: undefined },
    ])
    expect(count).toBe(8)
    expect(leftOut).toEqual({ redacted: 0, abandoned: 1, alone: 1 })
    const smaller = await open({ groupSize: 2 })
    expect(smaller.tasks.map(({ id }) => id)).toEqual(['one', 'one:2', 'two', 'two:2'])
  })

  it('trains on the tokens that were sampled, with the logprobs they were sampled with', async () => {
    const { metrics, warnings } = await train(await open())
    expect(warnings).toEqual([])
    expect(metrics[0]).toMatchObject({ rollouts: 8, ungradedRollouts: 0, accuracy: 0.5, skipped: false })
    // The policy is still the one that sampled them.
    expect(metrics[0]?.logprobDifference).toBeLessThan(1e-3)
    expect(metrics[0]?.gradientNorm).toBeGreaterThan(0)
    const lines = (
      await readFile(join(folder, `run-${runs}`, 'rollouts', 'step-000001.jsonl'), 'utf8')
    ).trim()
    const trained = lines.split('\n').map((line) => JSON.parse(line).tokens)
    const served = (await readFile(path, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const graded = served.filter(({ taskId }) => taskId === 'one' || taskId === 'two')
    expect(new Set(trained.map(String))).toEqual(new Set(graded.map(({ tokens }) => String(tokens))))
  })

  it('can be trained on once more from the rollouts of that run', async () => {
    await train(await open())
    const again = await open({ path: join(folder, `run-${runs}`, 'rollouts') })
    expect(again.count).toBe(8)
    expect((await train(again, { output: join(folder, 'again') })).metrics[0]?.accuracy).toBe(0.5)
  })

  it('leaves what the policy has moved too far from ungraded, and says so', async () => {
    const other = await createPolicy(4)
    const recorded = await open({ policy: other, staleness: 0.01 })
    const training = train(recorded, { policy: other, maxSkippedSteps: 1 })
    await expect(training).rejects.toThrow(/it is stale: the policy differs .* more than staleness 0.01/)
    await other.close()
  })

  it('does not train on what was sampled at another temperature', async () => {
    const training = train(await open(), { rollout: { temperature: 0.7 }, maxSkippedSteps: 1 })
    await expect(training).rejects.toThrow('it was sampled at temperature 1, rollout.temperature is 0.7')
  })

  it('takes answers from tasks, and refuses a task that is not among them', async () => {
    const messages = [{ role: 'user' as const, content: 'one?' }]
    const one = { id: 'one', messages, answer: 'Lima' }
    const { tasks } = await open({ tasks: [one, { ...one, id: 'two' }] })
    expect(tasks.map(({ answer }) => answer)).toEqual(['Lima', 'Lima'])
    await expect(open({ tasks: [one] })).rejects.toThrow(
      'task "two" was recorded, but is not among the tasks',
    )
  })

  it('asks nothing that was not recorded', async () => {
    const { runGroup } = await open()
    const asked = runGroup(policy, { id: 'three', messages: [], answer: 1 }, [], { size: 4 })
    await expect(asked).rejects.toMatchObject({ code: 'ERR_RECORDED' })
  })

  it.each([
    ['no rollout', '{"question": "capital of Peru?"}', /bad\.jsonl:1: is no recorded rollout: id/],
    ['another policy', undefined, /bad\.jsonl:1: token 99999 is not in the policy's vocabulary/],
  ])('names file and line of what is %s', async (_, line, message) => {
    const bad = join(folder, 'bad.jsonl')
    const [first] = (await readFile(path, 'utf8')).split('\n')
    const served = JSON.parse(first as string)
    served.tokens[0] = 99999
    await writeFile(bad, line ?? JSON.stringify(served))
    await expect(open({ path: bad })).rejects.toThrow(message)
  })

  it('leaves out what holds a secret, and ends where nothing is left', async () => {
    const redacted = join(folder, 'redacted.jsonl')
    await appendFile(redacted, '{"redacted": true, "taskId": "one"}\n')
    await expect(open({ path: redacted })).rejects.toThrow(/no two rollouts .* 1 redacted/)
  })
})
