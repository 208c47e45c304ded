// What an evaluation says about an agent, each number with its interval.
import { isCorrect } from '../rewards/rewards.js'
import { toolCost, toolSeconds } from '../rollout/call-cost.js'
import type { ScoredRollout } from '../rollout/types.js'
import { quantile } from './bootstrap.js'
import { type Interval, type QuestionSums, ratioInterval } from './intervals.js'
import type { Knowledge } from './knowledge.js'
import type { PlayedRollout } from './played-rollout.js'

/** What a million tokens cost, in any currency. */
interface TokenPrices {
  prompt: number
  completion: number
}

export interface EvaluationMeasures {
  accuracy?: Interval
  /** Share of rollouts that call a tool. */
  callShare?: Interval
  callsPerRollout?: Interval
  callsPerRightAnswer?: Interval
  /** In the unit of the tools' costs. */
  toolCostPerRollout?: Interval
  toolSecondsPerRollout?: Interval
  /** Rollouts on known questions that call a tool. */
  redundantCallRate?: Interval
  /** Rollouts on needed questions that call a tool. */
  neededCallRate?: Interval
  knownAccuracy?: Interval
  neededAccuracy?: Interval
  /** Only for endpoints and agents: how long a rollout took by the clock. */
  latencySeconds?: Interval
  /** Tokens of a rollout, as the endpoint or agent reports them. */
  promptTokensPerRollout?: Interval
  completionTokensPerRollout?: Interval
  /** Only if prices are given. */
  tokenCostPerRollout?: Interval
  tokenCostPerRightAnswer?: Interval
}

interface MeasureOptions {
  /** One list per question. */
  groups: readonly (readonly ScoredRollout[])[]
  knowledge?: Knowledge
  prices?: TokenPrices
}

type Read = (rollout: ScoredRollout) => number

export function measureEvaluation({ groups, knowledge, prices }: MeasureOptions): EvaluationMeasures {
  const known = knowledge && groups.filter((group) => knowledge.known.has(group[0]?.taskId ?? ''))
  const needed = knowledge && groups.filter((group) => knowledge.needed.has(group[0]?.taskId ?? ''))
  return withoutAbsent({
    accuracy: mean(groups, right, true),
    callShare: mean(groups, calling, true),
    callsPerRollout: mean(groups, calls),
    callsPerRightAnswer: ratioInterval(sums(groups, calls, right), { share: false }),
    toolCostPerRollout: mean(groups, toolCost),
    toolSecondsPerRollout: mean(groups, toolSeconds),
    redundantCallRate: known && mean(known, calling, true),
    neededCallRate: needed && mean(needed, calling, true),
    knownAccuracy: known && mean(known, right, true),
    neededAccuracy: needed && mean(needed, right, true),
    ...(groups.flat().some(isPlayed) && playedMeasures(groups, prices)),
  })
}

/** Seconds of the median and the slowest rollouts; undefined for a policy, whose rollouts run together. */
export function latencyQuantiles(
  groups: readonly (readonly ScoredRollout[])[],
): { median: number; percentile95: number } | undefined {
  const seconds = groups
    .flat()
    .filter(isPlayed)
    .map(({ latencySeconds }) => latencySeconds)
    .sort((a, b) => a - b)
  if (seconds.length === 0) return undefined
  return { median: quantile(seconds, 0.5), percentile95: quantile(seconds, 0.95) }
}

function playedMeasures(groups: readonly (readonly ScoredRollout[])[], prices: TokenPrices | undefined) {
  const prompt = played(({ usage }) => usage.promptTokens)
  const completion = played(({ usage }) => usage.completionTokens)
  const price: Read = (rollout) =>
    ((prices?.prompt ?? 0) * prompt(rollout) + (prices?.completion ?? 0) * completion(rollout)) / 1e6
  return {
    latencySeconds: mean(
      groups,
      played(({ latencySeconds }) => latencySeconds),
    ),
    promptTokensPerRollout: mean(groups, prompt),
    completionTokensPerRollout: mean(groups, completion),
    ...(prices && {
      tokenCostPerRollout: mean(groups, price),
      tokenCostPerRightAnswer: ratioInterval(sums(groups, price, right), { share: false }),
    }),
  }
}

const right: Read = (rollout) => Number(isCorrect(rollout))
const calling: Read = ({ toolCalls }) => Number(toolCalls.length > 0)
const calls: Read = ({ toolCalls }) => toolCalls.length

const isPlayed = (rollout: ScoredRollout): rollout is ScoredRollout & PlayedRollout =>
  'latencySeconds' in rollout

function played(read: (rollout: PlayedRollout) => number): Read {
  return (rollout) => (isPlayed(rollout) ? read(rollout) : 0)
}

function mean(
  groups: readonly (readonly ScoredRollout[])[],
  read: Read,
  share = false,
): Interval | undefined {
  return ratioInterval(
    sums(groups, read, () => 1),
    { share },
  )
}

function sums(groups: readonly (readonly ScoredRollout[])[], above: Read, below: Read): QuestionSums[] {
  const total = (group: readonly ScoredRollout[], read: Read) =>
    group.reduce((sum, rollout) => sum + read(rollout), 0)
  return groups.map((group) => ({ numerator: total(group, above), denominator: total(group, below) }))
}

function withoutAbsent(
  measures: { [Name in keyof EvaluationMeasures]: Interval | undefined },
): EvaluationMeasures {
  return Object.fromEntries(Object.entries(measures).filter(([, interval]) => interval !== undefined))
}
