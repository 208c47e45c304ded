import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { evaluate, measureKnown } from '../../lib/evaluation/evaluate.js'
import type { PolicyBatch } from '../../lib/native/types.js'
import { type AnswerReward, ungraded } from '../../lib/rewards/rewards.js'
import { openTasks } from '../../lib/tasks/open-tasks.js'
import { Trainer, type TrainerStep } from '../../lib/trainer/trainer.js'
import type { TrainerOptions } from '../../lib/trainer/trainer-options.js'
import { lookup, smallTraining, tasks } from './scripted-environment.js'
import { ScriptedPolicy } from './scripted-policy.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-ungraded-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function train(policy: ScriptedPolicy, answer: AnswerReward, options: Partial<TrainerOptions> = {}): Trainer {
  return new Trainer({
    policy,
    ...smallTraining,
    reward: { answer },
    output: join(folder, 'run'),
    onWarning: () => {},
    ...options,
  })
}

async function drain(steps: AsyncIterable<TrainerStep>): Promise<TrainerStep[]> {
  const seen: TrainerStep[] = []
  for await (const step of steps) seen.push(step)
  return seen
}

const rolloutIndex = (id: string) => Number(id.split('#')[1])
const right: AnswerReward = ({ finalAnswer }) => finalAnswer === '42'

describe('rollouts that could not be graded', () => {
  it('are in no group and no batch, counted, and kept in their places with the reason', async () => {
    const answer: AnswerReward = (rollout, task) =>
      rolloutIndex(rollout.id) === 1 ? ungraded('judge down') : right(rollout, task)
    const policy = new ScriptedPolicy()
    const warnings: string[] = []
    const [step] = await drain(
      train(policy, answer, { steps: 1, onWarning: (text) => warnings.push(text) }).run(),
    )
    expect(step?.groups.map((group) => group.map(({ id }) => rolloutIndex(id)))).toEqual([
      [0, 2, 3],
      [0, 2, 3],
    ])
    const batch = policy.calls[0]?.batch as PolicyBatch
    expect(batch.accuracyAdvantages).toHaveLength(6)
    expect(step?.metrics).toMatchObject({ rollouts: 8, ungradedRollouts: 2, skipped: false })
    expect(warnings).toEqual(['step 1: 2 rollouts were not graded; the first: judge down'])
    const lines = (await readFile(join(folder, 'run', 'rollouts', 'step-000001.jsonl'), 'utf8'))
      .trim()
      .split('\n')
    const written = lines.map((line) => JSON.parse(line))
    expect(written.map(({ prompt, rollout, ungraded: reason }) => [prompt, rollout, reason])).toEqual(
      [0, 1].flatMap((prompt) =>
        [0, 1, 2, 3].map((index) => [prompt, index, index === 1 ? 'judge down' : undefined]),
      ),
    )
    expect(written[1]).not.toHaveProperty('accuracyReward')
    expect(written[1]).not.toHaveProperty('accuracyAdvantage')
    expect(written[2]).toHaveProperty('accuracyAdvantage')
  })

  it('have no influence on the advantages of the others', async () => {
    const advantages = async (groupSize: number, answer: AnswerReward, name: string) => {
      const output = join(folder, name)
      const [step] = await drain(train(new ScriptedPolicy(), answer, { steps: 1, groupSize, output }).run())
      return step?.groups.map((group) => group.map(({ accuracyAdvantage }) => accuracyAdvantage))
    }
    const without = await advantages(4, right, 'four')
    const lastUngraded: AnswerReward = (rollout, task) =>
      rolloutIndex(rollout.id) === 4 ? ungraded('judge down') : right(rollout, task)
    expect(await advantages(5, lastUngraded, 'five')).toEqual(without)
  })

  it('skip the step when there are no others, and end the run when that goes on', async () => {
    const policy = new ScriptedPolicy()
    const run = train(policy, () => ungraded('judge down'), { maxSkippedSteps: 2 }).run()
    const first = await run.next()
    expect(first.value?.metrics).toMatchObject({
      skipped: true,
      skippedSteps: 1,
      ungradedRollouts: 8,
      trainedTokens: 0,
    })
    await expect(run.next()).rejects.toMatchObject({
      code: 'ERR_UNGRADED',
      message: expect.stringMatching(/no rollout could be graded: judge down; there is no checkpoint yet$/),
    })
    expect(policy.calls).toEqual([])
    const events = (await readFile(join(folder, 'run', 'events.jsonl'), 'utf8')).trim().split('\n')
    expect(JSON.parse(events.at(-1) as string)).toMatchObject({ level: 'error', code: 'ERR_UNGRADED' })
    expect(events.filter((line) => line.includes('"warning"'))).toHaveLength(4)
  })

  it('leave a whole group out and the other one in', async () => {
    const policy = new ScriptedPolicy()
    let first: string | undefined
    const answer: AnswerReward = (rollout, task) => {
      first ??= task.id
      return task.id === first ? ungraded('judge down') : right(rollout, task)
    }
    const [step] = await drain(train(policy, answer, { steps: 1, miniBatches: 2 }).run())
    expect(step?.groups.map((group) => group.length).sort()).toEqual([0, 4])
    expect(policy.calls).toHaveLength(1)
  })
})

it("keeps what the reward reports of its own work in the step's metrics", async () => {
  const answer = Object.assign((...args: Parameters<AnswerReward>) => right(...args), {
    report: () => ({ requests: 7, agreement: 0.9 }),
  })
  const [step] = await drain(train(new ScriptedPolicy(), answer, { steps: 1 }).run())
  expect(step?.metrics.reward).toEqual({ requests: 7, agreement: 0.9 })
})

describe('evaluation', () => {
  const asking = (answer: AnswerReward) => ({
    policy: new ScriptedPolicy(),
    tasks: tasks(3),
    tools: [lookup],
    reward: { answer },
  })

  it('takes accuracy over what was graded, and counts the rest', async () => {
    const answer: AnswerReward = ({ id }) => (rolloutIndex(id) === 0 ? ungraded('judge down') : true)
    const { summary, groups, ungraded: left } = await evaluate({ ...asking(answer), samples: 4 })
    expect(summary).toMatchObject({ rollouts: 12, ungradedRollouts: 3, accuracy: 1 })
    expect(groups.map((group) => group.length)).toEqual([3, 3, 3])
    expect(left).toHaveLength(3)
  })

  it('calls nothing known or needed that was not graded every time', async () => {
    const answer: AnswerReward = ({ id, taskId }) =>
      taskId === 'task-0' && rolloutIndex(id) === 5 ? ungraded('judge down') : taskId !== 'task-2'
    const knowledge = await measureKnown({ ...asking(answer), samples: 8 })
    expect([...knowledge.known]).toEqual(['task-1'])
    expect([...knowledge.needed]).toEqual(['task-2'])
    expect([...knowledge.rightShare.keys()]).toEqual(['task-1', 'task-2'])
  })
})

it('trains on tasks that are on disk as on the same ones in memory, and resumes', async () => {
  const rows = tasks(6).map(({ id, messages, answer }) => ({ id, messages, answer }))
  const onDisk = await openTasks(rows, { temporaryFolder: folder })
  const memory = new ScriptedPolicy()
  await drain(train(memory, right, { output: join(folder, 'memory') }).run())
  const disk = new ScriptedPolicy()
  const output = join(folder, 'disk')
  for await (const { step } of train(disk, right, { output, tasks: onDisk, checkpointEvery: 1 }).run())
    if (step === 1) break
  const resumed = new ScriptedPolicy()
  await drain(train(resumed, right, { output, tasks: onDisk, checkpointEvery: 1 }).run({ resume: true }))
  expect(resumed.weights).toBe(memory.weights)
  const fewer = await openTasks(rows.slice(1), { temporaryFolder: folder })
  const other = train(new ScriptedPolicy(), right, { output, tasks: fewer, steps: 4 }).run({ resume: true })
  await expect(drain(other)).rejects.toMatchObject({
    code: 'ERR_RESUME',
    message: expect.stringContaining('tasks was'),
  })
  await onDisk.close()
  await fewer.close()
})
