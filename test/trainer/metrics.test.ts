import { describe, expect, it } from 'vitest'
import { gradedMetrics } from '../../lib/evaluation/metrics.js'
import type { StepResult } from '../../lib/native/types.js'
import type { ScoredRollout, ToolCallOutcome } from '../../lib/rollout/types.js'
import { lossMetrics } from '../../lib/trainer/metrics.js'

function rollout(
  right: number,
  outcomes: ToolCallOutcome[],
  end: ScoredRollout['end'] = 'answer',
): ScoredRollout {
  return {
    id: 'rollout',
    taskId: 'task',
    tokens: Int32Array.of(1, 2, 3),
    mask: Uint8Array.of(0, 1, 1),
    logprobs: new Float32Array(3),
    promptTokens: 1,
    messages: [],
    toolCalls: outcomes.map((outcome) => ({
      name: 'tool',
      arguments: {},
      outcome,
      observation: '',
      milliseconds: 1,
    })),
    turns: outcomes.length + 1,
    end,
    finalAnswer: '42',
    wellFormed: true,
    answerReward: right,
    formatReward: 1,
    accuracyReward: 0.9 * right + 0.1,
  }
}

describe('gradedMetrics', () => {
  const metrics = gradedMetrics([
    [rollout(1, []), rollout(1, ['ok', 'timeout']), rollout(0, [])],
    [rollout(1, ['ok']), rollout(0, ['malformed'], 'turns'), rollout(0, [], 'tokens')],
  ])

  it('counts calls by rollout and by outcome', () => {
    expect(metrics.callsPerRollout).toBeCloseTo(4 / 6, 12)
    expect(metrics.callShare).toBe(0.5)
    expect(metrics.calls).toEqual({
      ok: 2,
      malformed: 1,
      'unknown-tool': 0,
      'bad-arguments': 0,
      error: 0,
      timeout: 1,
    })
  })

  it('takes a group as qualifying from two right rollouts on', () => {
    expect(metrics.qualifyingGroups).toBe(0.5)
    expect(metrics.qualifyingRatio).toBeCloseTo(2 / 6, 12)
  })

  it('says how rollouts ended and what was sampled', () => {
    expect(metrics).toMatchObject({
      accuracy: 0.5,
      ends: { answer: 4, turns: 1, tokens: 1, aborted: 0 },
      rollouts: 6,
      sampledTokens: 12,
    })
  })
})

describe('lossMetrics', () => {
  const update = (loss: number, trainedTokens: number, logprobDifference: number): StepResult => ({
    loss,
    accuracyLoss: loss,
    efficiencyLoss: 0,
    kl: 0,
    supervisedLoss: 0,
    entropy: 1,
    logprobDifference,
    clippedLow: 0,
    clippedHigh: 0,
    dualClipped: 0,
    trainedTokens,
    pushedTokens: trainedTokens / 2,
    tokens: 10,
    microBatches: 1,
    gradientNorm: 2,
    skipped: false,
    workspaceBytes: 0,
  })

  it('weights updates by trained tokens and takes the first logprobDifference', () => {
    expect(lossMetrics([update(1, 30, 1e-6), update(5, 10, 0.5)])).toMatchObject({
      loss: 2,
      entropy: 1,
      gradientNorm: 2,
      logprobDifference: 1e-6,
      trainedTokens: 40,
      pushedTokens: 20,
      tokens: 20,
    })
  })

  it('weights entropy by the tokens that it was measured over', () => {
    const updates = [
      { ...update(1, 30, 0), entropy: 4, pushedTokens: 2 },
      { ...update(1, 10, 0), entropy: 1, pushedTokens: 10 },
      { ...update(1, 10, 0), entropy: 0, pushedTokens: 0 },
    ]
    expect(lossMetrics(updates)).toMatchObject({ entropy: 1.5, pushedTokens: 12, loss: 1 })
  })

  it('stays finite when an update trained no token', () => {
    expect(lossMetrics([update(0, 0, 0)]).loss).toBe(0)
    expect(lossMetrics([update(0, 0, 0), update(0, 0, 0)]).loss).toBe(0)
  })
})
