// A grid: every algorithm at every weight, in every setting of the task, at every seed. Each combination is a cell.
import { join } from 'node:path'
import type { AlgorithmName, AlgorithmOptions } from '../../hdpo/options.js'
import type { RolloutOptions } from '../../rollout/options.js'
import type { TrainerOptimizerOptions } from '../../trainer/schedule.js'
import type { TrainerOptions } from '../../trainer/trainer-options.js'

type Settings = Readonly<Record<string, unknown>>

/** Numbers may be lists: one cell each. */
type AlgorithmAxis = { name: AlgorithmName; scaleByStd?: boolean } & {
  [Key in Exclude<keyof AlgorithmOptions, 'name' | 'scaleByStd'>]?: number | number[]
}

export interface Grid {
  seeds: number[]
  /** Of the environment, for reinforcement learning; the cold start has none. Default: one, without any. */
  settings: Settings[]
  algorithms: AlgorithmAxis[]
  /** Supervised training of a fresh model, once a seed. Absent: `policy` is where every seed begins. */
  coldStart?: { epochs?: number; steps?: number; tokensPerStep: number; optimizer: TrainerOptimizerOptions }
  /** A policy folder. */
  policy?: string
  train: Pick<TrainerOptions, 'loss' | 'klCoefficient' | 'passes' | 'miniBatches'> & {
    groupSize: number
    promptsPerStep: number
    steps: number
    optimizer: TrainerOptimizerOptions
  }
  rollout: RolloutOptions
  evaluation: GridEvaluation
  /** What counts as reached. */
  targets: Targets
  /** CPU threads of each process. */
  threads: number
}

interface GridEvaluation {
  /** Samples of a held-out question, tools off, that decide what is known. */
  knownSamples: number
  /** Rollouts of each held-out question, before and after. */
  samples: number
  /** At most so many held-out questions. Default: all. */
  tasks?: number
  /** Training steps between two points of the curves. */
  every: number
  /** The most known and needed questions that a point asks each. */
  curveQuestions: number
}

export interface Targets {
  /** At most. */
  redundantCallRate: number
  /** At least, of the needed calls that the policy made before training. */
  neededCallsKept: number
}

export interface Cell {
  /** Its folder below `cells/`, and its name in messages. */
  id: string
  seed: number
  settings: Settings
  setting: string
  algorithm: AlgorithmOptions
  /** The algorithm and what of it varies, 'grpo-coupled callPenalty': what a range of weights is measured for. */
  method: string
  /** Of what varies; absent where nothing does. */
  weight?: number
}

/** What one process does: a seed's start, or a cell, which needs its seed's start. */
export type Job = { id: string; kind: 'start'; seed: number } | { id: string; kind: 'cell'; cell: Cell }

const weightKeys = ['efficiencyWeight', 'alpha', 'callPenalty', 'accuracyWeight', 'epsilon'] as const

/**
 * In the order they are worked off: all of the first seed, setting by setting, then the next seed. What is there when the time
 * runs out is whole comparisons.
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
  if (twice) throw new RangeError(`grid: ${twice.id} is in it twice`)
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

/** Where a job keeps what it does. */
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
    throw new RangeError(
      `algorithms: ${axis.name} has ${varied.length} lists (${varied.join(', ')}); a grid varies one, write several entries`,
    )
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
