// What the model card of a trained policy says about its training, from the config and the evaluations of the run.

import type { EvaluationSummary } from '../../evaluation/evaluate.js'
import type { TrainingRecord } from '../../policy/model-card.js'
import type { StepMetrics } from '../../trainer/metrics.js'
import type { TrainConfig } from '../config/config-schema.js'

/** The measurements worth comparing, with their names on the card. */
const measured: readonly [string, keyof EvaluationSummary][] = [
  ['accuracy on held-out questions', 'accuracy'],
  ['calls per rollout', 'callsPerRollout'],
  ['redundant call rate', 'redundantCallRate'],
  ['needed call rate', 'neededCallRate'],
]

/** `metrics` are those of all steps; the last evaluation among them asked the same questions as `before`, that before the first step. */
export function trainingRecord(
  config: TrainConfig,
  metrics: readonly StepMetrics[],
  before: Partial<EvaluationSummary> | undefined,
): TrainingRecord {
  const { algorithm, optimizer, lora } = config
  const after = metrics.findLast(({ evaluation }) => evaluation !== undefined)?.evaluation
  const { name, ...weights } = algorithm
  const given = Object.entries(weights).filter(
    (entry): entry is [string, number | boolean] => entry[1] !== undefined,
  )
  return {
    method: name,
    steps: metrics.length,
    settings: {
      ...Object.fromEntries(given),
      'rollouts of a question': config.groupSize,
      'questions of a step': config.promptsPerStep,
      'learning rate': optimizer.learningRate,
      ...(lora && { 'LoRA rank': lora.rank }),
      ...(config.environment !== undefined && { environment: config.environment }),
    },
    ...(before && { before: measurements(before) }),
    ...(after && { after: measurements(after) }),
  }
}

function measurements(summary: Partial<EvaluationSummary>): Record<string, number> {
  return Object.fromEntries(
    measured.flatMap(([name, key]) => {
      const value = summary[key]
      return typeof value === 'number' ? [[name, value]] : []
    }),
  )
}
