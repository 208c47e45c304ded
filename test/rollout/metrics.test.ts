import { expect, it } from 'vitest'
import { rolloutMetrics } from '../../lib/rollout/metrics.js'
import type { Rollout, ToolCallOutcome } from '../../lib/rollout/types.js'

const rollout = (
  outcomes: ToolCallOutcome[],
  end: Rollout['end'],
  turns: number,
  mask: number[],
): Rollout => ({
  id: 'a#0',
  taskId: 'a',
  tokens: new Int32Array(mask.length),
  mask: Uint8Array.from(mask),
  logprobs: new Float32Array(mask.length),
  promptTokens: 1,
  messages: [],
  toolCalls: outcomes.map((outcome) => ({
    name: 'a',
    arguments: {},
    outcome,
    observation: '',
    milliseconds: 1,
  })),
  turns,
  end,
  finalAnswer: undefined,
  wellFormed: false,
})

it('counts calls by outcome and rollouts by end', () => {
  const metrics = rolloutMetrics([
    rollout(['ok', 'timeout', 'ok'], 'answer', 3, [0, 1, 1, 0, 1]),
    rollout(['malformed'], 'tokens', 1, [0, 1]),
    rollout([], 'answer', 1, [0, 0]),
    rollout(['error', 'bad-arguments', 'unknown-tool'], 'aborted', 3, [0, 1]),
  ])
  expect(metrics).toEqual({
    rollouts: 4,
    callsPerRollout: 7 / 4,
    callShare: 3 / 4,
    costPerRollout: 7 / 4,
    calls: { ok: 2, malformed: 1, 'unknown-tool': 1, 'bad-arguments': 1, error: 1, timeout: 1 },
    ends: { answer: 2, turns: 0, tokens: 1, aborted: 1 },
    turns: 2,
    sampledTokens: 5,
    segments: 4,
    controlTokensInText: 0,
    splitRollouts: 0,
  })
})

it('is 0 of nothing', () => {
  expect(rolloutMetrics([])).toMatchObject({
    rollouts: 0,
    callsPerRollout: 0,
    callShare: 0,
    costPerRollout: 0,
    turns: 0,
    sampledTokens: 0,
  })
})
