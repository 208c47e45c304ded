// How `hdpo train` ends for people: what training changed on the held-out questions, what that saves, and what to do next.
import { relative } from 'node:path'
import type { EvaluationSummary } from '../../evaluation/evaluate.js'
import type { StepMetrics } from '../../trainer/metrics.js'
import { formatTable, percent } from '../terminal/table.js'

interface TrainingEnd {
  /** Before the first step; absent where the run evaluates nothing. */
  before?: EvaluationSummary
  /** Of all steps of the run. */
  metrics: readonly StepMetrics[]
  /** The run folder. */
  output: string
}

export function describeTrainingEnd({ before, metrics, output }: TrainingEnd): string {
  const after = metrics.findLast(({ evaluation }) => evaluation !== undefined)?.evaluation
  const measured =
    before && after
      ? [comparison(before, after), '', savings(before, after), ...lostCalls(before, after)]
      : [
          'Nothing was measured on held-out questions, so nobody knows what this changed: give evaluate: { every: 10, samples: 4 }, and evaluationTasks or heldOutShare.',
        ]
  return ['', ...measured, '', ...nextCommands(output)].join('\n')
}

function comparison(before: EvaluationSummary, after: EvaluationSummary): string {
  const { knownQuestions = 0, neededQuestions = 0 } = before
  const share = (name: string, key: keyof EvaluationSummary) => {
    const values = [before[key], after[key]] as (number | undefined)[]
    return values.includes(undefined) ? [] : [[name, ...values.map((value) => percent(value))]]
  }
  return formatTable(
    [`Held-out questions: ${after.questions}`, 'before', 'after'],
    [
      ...share(`Redundant-call rate (${knownQuestions} known)`, 'redundantCallRate'),
      ...share(`Needed-call rate (${neededQuestions} needed)`, 'neededCallRate'),
      ...share('Accuracy', 'accuracy'),
      ['Calls per rollout', before.callsPerRollout.toFixed(2), after.callsPerRollout.toFixed(2)],
    ],
  )
}

function savings(before: EvaluationSummary, after: EvaluationSummary): string {
  const [callsBefore, callsAfter] = [before, after].map(({ callsPerRollout }) => 1000 * callsPerRollout) as [
    number,
    number,
  ]
  // A call of a tool that says no cost counts as 1: where none says any, the sum is the number of calls over again.
  const costs = [before, after].map(({ costPerRollout }) => 1000 * costPerRollout) as [number, number]
  const isCounted = costs[0] === callsBefore && costs[1] === callsAfter
  const paid = isCounted
    ? ''
    : `; cost of tools, in their own unit: ${amount(costs[0])} before, ${amount(costs[1])} after`
  const fewer = callsAfter <= callsBefore
  return (
    `Of 1,000 such questions: ${amount(Math.abs(callsBefore - callsAfter))} calls ${fewer ? 'fewer' : 'more'} ` +
    `(${amount(callsBefore)} before, ${amount(callsAfter)} after)${paid}. ` +
    `Right answers: ${percent(before.accuracy)} before, ${percent(after.accuracy)} after.`
  )
}

/** Where the policy has also unlearnt to call where it must. */
function lostCalls(
  { neededCallRate: before }: EvaluationSummary,
  { neededCallRate: after }: EvaluationSummary,
) {
  if (before === undefined || after === undefined || before - after < 0.05) return []
  return [
    `Needed calls were lost as well (${percent(before)} to ${percent(after)}): a smaller efficiencyWeight, a lower learningRate or more questions keep them.`,
  ]
}

function nextCommands(output: string): string[] {
  const shown = relative(process.cwd(), output) || '.'
  const commands = [
    [`hdpo ui ${shown}`, 'curves, and every rollout'],
    [`hdpo eval ${shown}/policy --help`, 'measure the trained policy, with intervals'],
    [`hdpo serve ${shown}/policy`, 'put it behind the API that your agent speaks'],
  ] as const
  const width = Math.max(...commands.map(([command]) => command.length))
  return ['Next:', ...commands.map(([command, about]) => `  ${command.padEnd(width)}  ${about}`)]
}

const amount = (value: number) => Number(value.toPrecision(3)).toLocaleString('en')
