// A seed's start, shared by all its cells: the policy before reinforcement learning, and what it knows without tools.
import { join, resolve } from 'node:path'
import { HdpoError } from '../../core/errors.js'
import { deriveSeed } from '../../core/seed.js'
import { evaluate, measureKnown, summarize } from '../../evaluation/evaluate.js'
import { curveTasks, keepKnowledge } from '../../evaluation/knowledge.js'
import { Policy } from '../../policy/policy.js'
import type { Task } from '../../rollout/types.js'
import { takeTasks } from '../../tasks/task-list.js'
import { SupervisedTrainer } from '../../trainer/supervised-trainer.js'
import { startId } from './grid.js'
import { type JobContext, JobStopped } from './job-context.js'
import { measuresOf, type StartResult, writeResult } from './result.js'

// Share of a start's time that the supervised training takes; the rest is measuring.
const trainingShare = 0.85

export async function runStart(context: JobContext, seed: number): Promise<StartResult> {
  const began = performance.now()
  const policy = await startingPolicy(context, seed)
  try {
    const result = await measureStart(context, policy, seed, began)
    await writeResult(context.output, { id: startId(seed), kind: 'start', seed }, result)
    return result
  } finally {
    await policy.close()
  }
}

/** Where the cells of a seed begin. */
export function startPolicyFolder(
  { grid, output }: Pick<JobContext, 'grid' | 'output'>,
  seed: number,
): string {
  return grid.policy === undefined ? join(output, startId(seed), 'policy') : resolve(grid.policy)
}

export async function heldOutTasks({ grid, environment }: JobContext): Promise<Task[]> {
  const tasks = environment.heldOutTasks && (await takeTasks(environment.heldOutTasks, grid.evaluation.tasks))
  if (!tasks?.length) throw new HdpoError('ERR_CONFIG', 'the environment has no held-out tasks to compare on')
  return tasks
}

async function startingPolicy(context: JobContext, seed: number): Promise<Policy> {
  const { grid, progress, output, signal, warn } = context
  if (!grid.coldStart) return Policy.load(startPolicyFolder(context, seed), { threads: grid.threads })
  const { policy, conversations } = await freshPolicy(context, seed)
  try {
    const trainer = new SupervisedTrainer({
      ...grid.coldStart,
      policy,
      conversations,
      tools: context.environment.tools,
      output: join(output, startId(seed), 'cold-start'),
      seed: deriveSeed(seed, 'cold-start'),
      onWarning: warn,
    })
    for await (const { step } of trainer.run({ signal, resume: true })) {
      progress((trainingShare * step) / trainer.steps)
    }
    if (signal.aborted) throw new JobStopped()
    await policy.save(startPolicyFolder(context, seed))
    return policy
  } catch (error) {
    await policy.close()
    throw error
  }
}

async function freshPolicy({ grid, environment }: JobContext, seed: number) {
  const { model, tokenizer, template, conversations } = environment
  if (!model || !tokenizer || !template || !conversations) {
    throw new HdpoError(
      'ERR_CONFIG',
      'coldStart needs an environment with model, tokenizer, template and conversations; else give policy, a trained folder',
    )
  }
  const policy = await Policy.create({
    config: model,
    tokenizer,
    template,
    threads: grid.threads,
    seed: deriveSeed(seed, 'weights'),
  })
  return {
    policy,
    conversations: typeof conversations === 'function' ? await conversations() : conversations,
  }
}

async function measureStart(
  context: JobContext,
  policy: Policy,
  seed: number,
  began: number,
): Promise<StartResult> {
  const { grid, environment, signal, progress } = context
  const tasks = await heldOutTasks(context)
  const asking = {
    policy,
    tasks,
    tools: environment.tools,
    reward: environment.evaluationReward ?? environment.reward,
    rollout: grid.rollout,
    signal,
  }
  const knowledge = await measureKnown({
    ...asking,
    samples: grid.evaluation.knownSamples,
    seed: deriveSeed(seed, 'knowledge'),
  })
  progress((1 + trainingShare) / 2)
  const { summary, groups } = await evaluate({
    ...asking,
    knowledge,
    samples: grid.evaluation.samples,
    seed: deriveSeed(seed, 'evaluation'),
  })
  const onCurve = new Set(curveTasks(tasks, knowledge, grid.evaluation.curveQuestions).map(({ id }) => id))
  const curveGroups = groups.filter((_, index) => onCurve.has(tasks[index]?.id ?? ''))
  return {
    seed,
    parameters: policy.parameterCount,
    knowledge: keepKnowledge(knowledge),
    knownQuestions: knowledge.known.size,
    neededQuestions: knowledge.needed.size,
    before: measuresOf(summary),
    curveBefore: measuresOf(summarize(curveGroups, knowledge)),
    seconds: (performance.now() - began) / 1000,
  }
}
