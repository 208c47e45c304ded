import { join } from 'node:path'
import { expect, it } from 'vitest'
import { describeTrainingEnd } from '../../lib/cli/commands/training-end.js'
import type { EvaluationSummary } from '../../lib/evaluation/evaluate.js'
import type { StepMetrics } from '../../lib/trainer/metrics.js'

const summary = (changes: Partial<EvaluationSummary>) =>
  ({
    questions: 40,
    knownQuestions: 30,
    neededQuestions: 8,
    accuracy: 0.8,
    redundantCallRate: 0.95,
    neededCallRate: 1,
    callsPerRollout: 1.25,
    costPerRollout: 1.25,
    ...changes,
  }) as EvaluationSummary
const stepped = (...evaluations: (EvaluationSummary | undefined)[]) =>
  evaluations.map((evaluation) => ({ ...(evaluation && { evaluation }) }) as StepMetrics)
const output = join(process.cwd(), 'runs', 'mine')
const after = summary({
  accuracy: 0.85,
  redundantCallRate: 0.02,
  neededCallRate: 0.98,
  callsPerRollout: 0.3,
  costPerRollout: 0.3,
})

it('says what changed, what that saves, and what is next', () => {
  const lines = describeTrainingEnd({
    before: summary({}),
    metrics: stepped(summary({ accuracy: 0 }), after, undefined),
    output,
  }).split('\n')
  expect(lines.slice(1, 9)).toEqual([
    'Held-out questions: 40          before  after',
    '------------------------------  ------  -----',
    'Redundant-call rate (30 known)   95.0%   2.0%',
    'Needed-call rate (8 needed)     100.0%  98.0%',
    'Accuracy                         80.0%  85.0%',
    'Calls per rollout                 1.25   0.30',
    '',
    'Of 1,000 such questions: 950 calls fewer (1,250 before, 300 after). Right answers: 80.0% before, 85.0% after.',
  ])
  expect(lines).toContain('  hdpo ui runs/mine                  curves, and every rollout')
})

it('adds what tools cost where they say so, and tells of needed calls that were lost', () => {
  const text = describeTrainingEnd({
    before: summary({ costPerRollout: 0.005 }),
    metrics: stepped({ ...after, costPerRollout: 0.001, neededCallRate: 0.5 }),
    output,
  })
  expect(text).toContain('; cost of tools, in their own unit: 5 before, 1 after.')
  expect(text).toContain('Needed calls were lost as well (100.0% to 50.0%)')
})

it('says that nothing was measured where nothing was', () => {
  expect(describeTrainingEnd({ metrics: stepped(undefined), output })).toContain('Nothing was measured')
})
