// A grid: every algorithm at every weight, in every setting of the task, at every seed. Each combination is a cell.
import { join } from 'node:path'
import { Described, InvalidOptionError } from '../../core/option-error.js'
import { count, share } from '../../core/option-kinds.js'
import type { ResolvedOptions } from '../../core/options.js'
import type { AlgorithmName, AlgorithmOptions } from '../../hdpo/options.js'
import type { RolloutOptions } from '../../rollout/options.js'
import type { SupervisedTrainerOptions } from '../../trainer/supervised-options.js'
import type { TrainerOptions } from '../../trainer/trainer-options.js'

type Settings = Readonly<Record<string, unknown>>

/** An algorithm's options. A list of numbers gives one cell per number. */
type AlgorithmAxis = { name: AlgorithmName; scaleByStd?: boolean | undefined } & {
  [Key in Exclude<keyof AlgorithmOptions, 'name' | 'scaleByStd'>]?: number | number[] | undefined
}

export interface Grid {
  seeds: number[]
  /** Settings of the environment for reinforcement learning; the cold start uses none. Default: one, without any. */
  settings: Settings[]
  algorithms: AlgorithmAxis[]
  /** Supervised training of a fresh model, once per seed. Where it is absent, every seed begins with `policy`. */
  coldStart?: Pick<SupervisedTrainerOptions, 'epochs' | 'steps' | 'tokensPerStep' | 'optimizer'>
  /** A policy folder. */
  policy?: string
  train: Pick<
    TrainerOptions,
    | 'groupSize'
    | 'promptsPerStep'
    | 'steps'
    | 'optimizer'
    | 'loss'
    | 'klCoefficient'
    | 'passes'
    | 'miniBatches'
  >
  rollout: RolloutOptions
  evaluation: GridEvaluation
  /** The targets that a cell counts as reaching. */
  targets: Targets
  /** CPU threads of each process. */
  threads: number
}

export const gridEvaluationShape = {
  /** Samples per held-out question without tools, which decide what the policy knows. Default 8. */
  knownSamples: count.default(8),
  /** Rollouts per held-out question, before and after training. Default 4. */
  samples: count.default(4),
  /** The most held-out questions to ask. Default: all. */
  tasks: count.optional(),
  /** Training steps between two points of the curves. Default 10. */
  every: count.default(10),
  /** The most known, and the most needed, questions asked for each point of a curve. Default 64. */
  curveQuestions: count.default(64),
}
interface GridEvaluation extends ResolvedOptions<typeof gridEvaluationShape> {}

/** The targets that a cell counts as reaching. */
export const targetsShape = {
  /** The highest redundant call rate after training. Default 0.02. */
  redundantCallRate: share.default(0.02),
  /** The lowest share of needed calls that the policy keeps, of those that it made before training. Default 0.97. */
  neededCallsKept: share.default(0.97),
}
export interface Targets extends ResolvedOptions<typeof targetsShape> {}

export interface Cell {
  /** The cell's folder below `cells/`, and its name in messages. */
  id: string
  seed: number
  settings: Settings
  setting: string
  algorithm: AlgorithmOptions
  /** The algorithm and the option that varies, e.g. 'grpo-coupled callPenalty'; charts show the range of weights of each method. */
  method: string
  /** The value of the option that varies; absent where none does. */
  weight?: number
}

/** The work of one process: a seed's start, or a cell, which needs its seed's start. */
export type Job = { id: string; kind: 'start'; seed: number } | { id: string; kind: 'cell'; cell: Cell }

const weightKeys = ['efficiencyWeight', 'alpha', 'callPenalty', 'accuracyWeight', 'epsilon'] as const

/**
 * The cells in the order in which they run: all of the first seed, setting by setting, then the next seed. If time runs out,
 * whole comparisons are finished.
 */
export function cellsOf({
  seeds,
  settings,
  algorithms,
}: Pick<Grid, 'seeds' | 'settings' | 'algorithms'>): Cell[] {
  const cells = seeds.flatMap((seed) =>
    settings.flatMap((each) =>
      algorithms.flatMap(expandAlgorithm).map(({ label, ...expanded }): Cell => {
        const setting = settingLabel(each)
        return { id: join(setting, label, `seed-${seed}`), seed, settings: each, setting, ...expanded }
      }),
    ),
  )
  const twice = cells.find(({ id }, index) => cells.findIndex((other) => other.id === id) !== index)
  if (twice) {
    throw new InvalidOptionError('grid', 'without repetitions', new Described(`${twice.id} twice`))
  }
  return cells
}

export function jobsOf(grid: Grid): Job[] {
  const cells = cellsOf(grid)
  return grid.seeds.flatMap((seed): Job[] => [
    { id: startId(seed), kind: 'start', seed },
    ...cells.filter((cell) => cell.seed === seed).map((cell): Job => ({ id: cell.id, kind: 'cell', cell })),
  ])
}

export const startId = (seed: number): string => `start/seed-${seed}`

/** 'plain', or 'answerNoise-0.1'. */
export function settingLabel(settings: Settings): string {
  const pairs = Object.entries(settings).map(([name, value]) => `${name}-${String(value)}`)
  return pairs.length === 0 ? 'plain' : pairs.join('-').replace(/[^\w.-]+/g, '_')
}

/** The folder where a job writes. */
export function jobFolder(output: string, job: Job): string {
  return job.kind === 'start' ? join(output, job.id) : join(output, 'cells', job.id)
}

export const resultPath = (output: string, job: Job): string => join(jobFolder(output, job), 'result.json')

interface Expanded {
  label: string
  algorithm: AlgorithmOptions
  method: string
  weight?: number
}

function expandAlgorithm(axis: AlgorithmAxis): Expanded[] {
  const varied = weightKeys.filter((key) => Array.isArray(axis[key]))
  if (varied.length > 1) {
    const given = new Described(`${axis.name} with lists for ${varied.join(' and ')}`)
    throw new InvalidOptionError('algorithms', 'entries with one list each (write several)', given)
  }
  const fixed = weightKeys.filter((key) => typeof axis[key] === 'number')
  const suffix = fixed.map((key) => `-${key}-${axis[key] as number}`).join('')
  const [key] = varied
  if (!key)
    return [{ label: axis.name + suffix, algorithm: axis as AlgorithmOptions, method: axis.name + suffix }]
  return (axis[key] as number[]).map((weight) => ({
    label: `${axis.name}${suffix}-${key}-${weight}`,
    algorithm: { ...axis, [key]: weight } as AlgorithmOptions,
    method: `${axis.name}${suffix} ${key}`,
    weight,
  }))
}
