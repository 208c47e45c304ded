// One cell: reinforcement learning from its seed's start with one algorithm in one setting, then the held-out questions.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { HdpoError } from '../../core/errors.js'
import { deriveSeed } from '../../core/seed.js'
import type { EvaluationSummary } from '../../evaluation/evaluate.js'
import { curveTasks, type Knowledge, toKnowledge } from '../../evaluation/knowledge.js'
import { Policy } from '../../policy/policy.js'
import { readMetrics } from '../../run/metrics-file.js'
import type { StepMetrics } from '../../trainer/metrics.js'
import { trainAndMeasure } from '../train-and-measure.js'
import { type Cell, type Job, jobFolder, startId } from './grid.js'
import type { JobContext } from './job-context.js'
import { describeProvenance } from './provenance.js'
import { type CellResult, curveOf, measuresOf, readResult, type StartResult, writeResult } from './result.js'
import { heldOutOf, startPolicyFolder } from './start-job.js'

// Share of a cell's time that training takes; the last evaluation takes the rest.
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
    const after = await train(context, cell, { policy, folder, knowledge: toKnowledge(start.knowledge) })
    const metrics = await readMetrics<StepMetrics>(folder)
    const result: CellResult = {
      cell,
      after: measuresOf(after),
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
    await writeResult(output, job, result)
    // The rollouts and checkpoints of hundreds of cells would fill a disk; only the policy and the metrics are kept.
    for (const name of ['rollouts', 'checkpoints'])
      await rm(join(folder, name), { recursive: true, force: true })
    return result
  } finally {
    await policy.close()
  }
}

async function train(
  context: JobContext,
  cell: Cell,
  { policy, folder, knowledge }: { policy: Policy; folder: string; knowledge: Knowledge },
): Promise<EvaluationSummary> {
  const { grid, environment, signal, progress, warn } = context
  const { tools, tasks, reward } = environment
  const heldOut = await heldOutOf(context, policy, cell.seed)
  const curve = curveTasks(heldOut.tasks, knowledge, grid.evaluation.curveQuestions)
  const { after } = await trainAndMeasure({
    trainer: {
      ...grid.train,
      policy,
      algorithm: cell.algorithm,
      rollout: grid.rollout,
      tasks,
      tools,
      reward,
      output: folder,
      // All cells of a seed draw the same prompts and the same random numbers.
      seed: deriveSeed(cell.seed, 'train'),
      // Nobody searches the rollouts, which are deleted when the cell ends.
      index: false,
      checkpointEvery: 20,
      keepCheckpoints: 1,
      evaluate: { tasks: curve, every: grid.evaluation.every, knowledge, reward: heldOut.reward },
      onWarning: warn,
    },
    run: { signal, resume: true },
    onStep: ({ step }) => progress((trainingShare * step) / grid.train.steps),
    measured: { policy, policyFolder: join(folder, 'policy'), heldOut, start: { knowledge, curve } },
  })
  return after
}
