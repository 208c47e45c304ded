// One cell: reinforcement learning from its seed's start with one algorithm in one setting, then the held-out questions.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { HdpoError } from '../../core/errors.js'
import { deriveSeed } from '../../core/seed.js'
import { evaluate } from '../../evaluation/evaluate.js'
import { curveTasks, type Knowledge, toKnowledge } from '../../evaluation/knowledge.js'
import { Policy } from '../../policy/policy.js'
import type { Task } from '../../rollout/types.js'
import { readMetrics } from '../../run/run-folder.js'
import type { StepMetrics } from '../../trainer/metrics.js'
import { Trainer } from '../../trainer/trainer.js'
import { type Cell, type Job, jobFolder, startId } from './grid.js'
import { type JobContext, JobStopped } from './job-context.js'
import { describeProvenance } from './provenance.js'
import { type CellResult, curveOf, measuresOf, readResult, type StartResult, writeResult } from './result.js'
import { heldOutTasks, startPolicyFolder } from './start-job.js'

// Share of a cell's time that training takes; the rest is the last evaluation.
const trainingShare = 0.9

export async function runCell(context: JobContext, cell: Cell): Promise<CellResult> {
  const { output, grid } = context
  const began = performance.now()
  const start = await readResult<StartResult>(output, {
    id: startId(cell.seed),
    kind: 'start',
    seed: cell.seed,
  })
  if (!start) throw new HdpoError('ERR_COMPARE', `${cell.id}: the start of seed ${cell.seed} has no result`)
  const job: Job = { id: cell.id, kind: 'cell', cell }
  const folder = jobFolder(output, job)
  const policy = await Policy.load(startPolicyFolder(context, cell.seed), { threads: grid.threads })
  try {
    const knowledge = toKnowledge(start.knowledge)
    const tasks = await heldOutTasks(context)
    await train(context, cell, { policy, folder, tasks, knowledge })
    const after = await measure(context, cell, { policy, tasks, knowledge })
    const metrics = await readMetrics<StepMetrics>(folder)
    const result: CellResult = {
      cell,
      after,
      curve: curveOf(start.curveBefore, metrics),
      training: metrics.map(({ step, accuracy, callsPerRollout, qualifyingRatio }) => ({
        step,
        accuracy,
        callsPerRollout,
        qualifyingRatio,
      })),
      seconds: (performance.now() - began) / 1000,
      provenance: await describeProvenance(),
    }
    await policy.save(join(folder, 'policy'))
    await writeResult(output, job, result)
    // Hundreds of cells of rollouts and checkpoints fill a disk; the policy and the metrics stay.
    for (const name of ['rollouts', 'checkpoints'])
      await rm(join(folder, name), { recursive: true, force: true })
    return result
  } finally {
    await policy.close()
  }
}

interface Trained {
  policy: Policy
  folder: string
  tasks: Task[]
  knowledge: Knowledge
}

async function train(
  context: JobContext,
  cell: Cell,
  { policy, folder, tasks, knowledge }: Trained,
): Promise<void> {
  const { grid, environment, signal, progress, warn } = context
  const { evaluationReward = environment.reward } = environment
  const trainer = new Trainer({
    ...grid.train,
    policy,
    algorithm: cell.algorithm,
    rollout: grid.rollout,
    tasks: environment.tasks,
    tools: environment.tools,
    reward: environment.reward,
    output: folder,
    // All cells of a seed draw the same prompts and the same random numbers.
    seed: deriveSeed(cell.seed, 'train'),
    // Its rollouts go when it ends; nobody searches them.
    index: false,
    checkpointEvery: 20,
    keepCheckpoints: 1,
    evaluate: {
      tasks: curveTasks(tasks, knowledge, grid.evaluation.curveQuestions),
      every: grid.evaluation.every,
      knowledge,
      reward: evaluationReward,
    },
    onWarning: warn,
  })
  for await (const { step } of trainer.run({ signal, resume: true })) {
    progress((trainingShare * step) / grid.train.steps)
  }
  if (signal.aborted) throw new JobStopped()
}

async function measure(
  { grid, environment, signal }: JobContext,
  cell: Cell,
  { policy, tasks, knowledge }: Omit<Trained, 'folder'>,
) {
  const { summary } = await evaluate({
    policy,
    tasks,
    knowledge,
    tools: environment.tools,
    reward: environment.evaluationReward ?? environment.reward,
    rollout: grid.rollout,
    samples: grid.evaluation.samples,
    seed: deriveSeed(cell.seed, 'evaluation'),
    signal,
  })
  return measuresOf(summary)
}
