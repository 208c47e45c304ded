// A seed's start, shared by all its cells: the policy before reinforcement learning, and what it knows without tools.
import { join, resolve } from 'node:path'
import { HdpoError } from '../../core/errors.js'
import { deriveSeed } from '../../core/seed.js'
import { keepKnowledge } from '../../evaluation/knowledge.js'
import { Policy } from '../../policy/policy.js'
import { checkAnswers } from '../../rewards/check-answers.js'
import type { Task } from '../../rollout/types.js'
import { eachTask, takeTasks } from '../../tasks/task-list.js'
import type { Environment } from '../../trainer/environment.js'
import { coldStart } from '../cold-start.js'
import type { HeldOut } from '../held-out.js'
import { measureStart } from '../measure-start.js'
import { startId } from './grid.js'
import type { JobContext } from './job-context.js'
import { measuresOf, type StartResult, writeResult } from './result.js'

// Share of a start's time that supervised training takes; measuring takes the rest.
const trainingShare = 0.85

export async function runStart(context: JobContext, seed: number): Promise<StartResult> {
  const { grid, output, progress } = context
  const began = performance.now()
  await checkEnvironment(context)
  const policy = await startingPolicy(context, seed)
  try {
    const { knowledge, before } = await measureStart({
      heldOut: await heldOutOf(context, policy, seed),
      known: { samples: grid.evaluation.knownSamples, seed: deriveSeed(seed, 'knowledge') },
      curveQuestions: grid.evaluation.curveQuestions,
      onKnowledge: () => progress((1 + trainingShare) / 2),
    })
    const result: StartResult = {
      seed,
      parameters: policy.parameterCount,
      knowledge: keepKnowledge(knowledge),
      knownQuestions: knowledge.known.size,
      neededQuestions: knowledge.needed.size,
      before: measuresOf(before.all),
      curveBefore: measuresOf(before.curve),
      seconds: (performance.now() - began) / 1000,
    }
    await writeResult(output, { id: startId(seed), kind: 'start', seed }, result)
    return result
  } finally {
    await policy.close()
  }
}

/** The policy folder where the cells of a seed begin. */
export function startPolicyFolder(
  { grid, output }: Pick<JobContext, 'grid' | 'output'>,
  seed: number,
): string {
  return grid.policy === undefined ? join(output, startId(seed), 'policy') : resolve(grid.policy)
}

/** The evaluation of a seed's policy before training, and of each of its cells' after it. */
export async function heldOutOf(context: JobContext, policy: Policy, seed: number): Promise<HeldOut> {
  const { grid, environment, signal } = context
  return {
    policy,
    tasks: await heldOutTasksOf(context),
    tools: environment.tools,
    reward: environment.evaluationReward ?? environment.reward,
    rollout: grid.rollout,
    samples: grid.evaluation.samples,
    seed: deriveSeed(seed, 'evaluation'),
    signal,
  }
}

async function heldOutTasksOf({ grid, environment }: JobContext): Promise<Task[]> {
  const tasks = environment.heldOutTasks && (await takeTasks(environment.heldOutTasks, grid.evaluation.tasks))
  if (tasks?.length) return tasks
  throw new HdpoError('ERR_CONFIG', 'the environment has no held-out tasks to compare on')
}

/** Before the cold start, which takes minutes: what cannot be graded ends every cell later. */
async function checkEnvironment(context: JobContext): Promise<void> {
  const { tasks, reward, evaluationReward = reward } = context.environment
  await checkAnswers(reward.answer, eachTask(tasks), context.signal)
  await checkAnswers(evaluationReward.answer, await heldOutTasksOf(context), context.signal)
}

async function startingPolicy(context: JobContext, seed: number): Promise<Policy> {
  const { grid, environment, output, signal, progress, warn } = context
  const policyOptions = { threads: grid.threads }
  if (!grid.coldStart) return Policy.load(startPolicyFolder(context, seed), policyOptions)
  const { fresh, conversations } = partsOf(environment)
  const { policy } = await coldStart({
    fresh,
    policy: policyOptions,
    conversations: typeof conversations === 'function' ? await conversations() : conversations,
    tools: environment.tools,
    settings: grid.coldStart,
    seed,
    output: join(output, startId(seed), 'cold-start'),
    policyFolder: startPolicyFolder(context, seed),
    run: { signal, resume: true },
    onWarning: warn,
    onStep: ({ step }, steps) => progress((trainingShare * step) / steps),
  })
  return policy
}

function partsOf(environment: Environment) {
  const { model, tokenizer, template, conversations } = environment
  if (model && tokenizer && template && conversations)
    return { fresh: { model, tokenizer, template }, conversations }
  throw new HdpoError(
    'ERR_CONFIG',
    'coldStart needs an environment with model, tokenizer, template and conversations; else give policy, a trained folder',
  )
}
