import { describe, expect, it } from 'vitest'
import { latencyQuantiles, measureEvaluation } from '../../lib/evaluation/measures.js'
import { playedRollout } from '../../lib/evaluation/played-rollout.js'
import type { ScoredRollout } from '../../lib/rollout/types.js'

function rollout(taskId: string, right: boolean, calls: number, latencySeconds = 1): ScoredRollout {
  const call = {
    name: 'search',
    arguments: {},
    outcome: 'ok' as const,
    observation: '',
    milliseconds: 500,
    cost: 2,
  }
  const played = playedRollout(
    {
      id: `${taskId}#0`,
      taskId,
      messages: [],
      toolCalls: Array.from({ length: calls }, () => call),
      turns: 1,
      end: 'answer',
      latencySeconds,
      usage: { promptTokens: 1000, completionTokens: 100 },
    },
    'x',
  )
  return { ...played, answerReward: Number(right), formatReward: 1, accuracyReward: Number(right) }
}

const groups = [
  [rollout('known', true, 1, 1), rollout('known', true, 0, 2)],
  [rollout('needed', true, 2, 3), rollout('needed', false, 0, 4)],
  [rollout('between', false, 1, 5), rollout('between', false, 0, 6)],
]
const knowledge = {
  samples: 8,
  known: new Set(['known']),
  needed: new Set(['needed']),
  rightShare: new Map([
    ['known', 1],
    ['needed', 0],
    ['between', 0.5],
  ]),
}

describe('measureEvaluation', () => {
  const measures = measureEvaluation({ groups, knowledge, prices: { prompt: 2, completion: 10 } })
  const value = (name: keyof typeof measures) => measures[name]?.value

  it('counts calls, and tells redundant ones from needed ones', () => {
    expect(value('accuracy')).toBe(0.5)
    expect(value('callShare')).toBe(0.5)
    expect(value('callsPerRollout')).toBeCloseTo(4 / 6, 12)
    expect(value('callsPerRightAnswer')).toBeCloseTo(4 / 3, 12)
    expect(value('redundantCallRate')).toBe(0.5)
    expect(value('neededCallRate')).toBe(0.5)
    expect(value('knownAccuracy')).toBe(1)
    expect(value('neededAccuracy')).toBe(0.5)
  })

  it('adds up costs and time', () => {
    expect(value('toolCostPerRollout')).toBeCloseTo(8 / 6, 12)
    expect(value('toolSecondsPerRollout')).toBeCloseTo(2 / 6, 12)
    expect(value('latencySeconds')).toBeCloseTo(3.5, 12)
    expect(value('tokenCostPerRollout')).toBeCloseTo(0.003, 12)
    expect(value('tokenCostPerRightAnswer')).toBeCloseTo(0.006, 12)
    expect(latencyQuantiles(groups)).toEqual({ median: 3, percentile95: 6 })
  })

  it('has every value inside its interval', () => {
    for (const [name, interval] of Object.entries(measures)) {
      expect(interval.low, name).toBeLessThanOrEqual(interval.value)
      expect(interval.high, name).toBeGreaterThanOrEqual(interval.value)
    }
  })

  it('says nothing that it does not know', () => {
    const untimed = (played: ScoredRollout) => {
      const { latencySeconds: _, ...rest } = played as ScoredRollout & { latencySeconds: number }
      return rest as ScoredRollout
    }
    const plain = measureEvaluation({ groups: groups.map((group) => group.map(untimed)) })
    expect(Object.keys(plain)).toEqual([
      'accuracy',
      'callShare',
      'callsPerRollout',
      'callsPerRightAnswer',
      'toolCostPerRollout',
      'toolSecondsPerRollout',
    ])
  })
})
