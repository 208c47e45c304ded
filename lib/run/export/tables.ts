// The tables that can be exported, with their columns.

import { tokenGradientWeight, tokenRatio } from '../../hdpo/token-weight.js'
import { loadRunLoss } from '../store/run-loss.js'
import type { RolloutRow, RunStore } from '../store/run-store.js'

export const exportTables = ['metrics', 'rollouts', 'tokens'] as const
export type ExportTable = (typeof exportTables)[number]

export type ExportValue = string | number | boolean | null
export type ExportRow = Record<string, ExportValue>
export interface Column {
  name: string
  type: 'INT32' | 'INT64' | 'DOUBLE' | 'STRING' | 'BOOLEAN'
}

export function tableRows(
  store: RunStore,
  table: ExportTable,
): { columns: Column[]; rows: Iterable<ExportRow> } {
  if (table === 'metrics') return metrics(store)
  return table === 'rollouts'
    ? { columns: rolloutColumns, rows: rollouts(store) }
    : { columns: tokenColumns, rows: tokens(store) }
}

/** One row per step; a metric that a step does not have (an evaluation) is null. */
function metrics(store: RunStore): { columns: Column[]; rows: Iterable<ExportRow> } {
  const names = store.metricNames()
  const columns: Column[] = [
    { name: 'step', type: 'INT32' },
    ...names.map((name): Column => ({ name, type: 'DOUBLE' })),
  ]
  function* rows() {
    const statement = store.database.sql('SELECT name, value FROM metrics WHERE step = ?')
    for (const step of store.steps()) {
      const values = statement.all(step) as { name: string; value: number }[]
      const row: ExportRow = { step, ...Object.fromEntries(names.map((name) => [name, null])) }
      for (const { name, value } of values) row[name] = value
      yield row
    }
  }
  return { columns, rows: rows() }
}

const columnsOf = (type: Column['type'], ...names: string[]): Column[] =>
  names.map((name) => ({ name, type }))

const rolloutColumns: Column[] = [
  ...columnsOf('INT32', 'step', 'prompt', 'rollout'),
  ...columnsOf('STRING', 'name', 'task', 'question', 'answer'),
  ...columnsOf('BOOLEAN', 'correct', 'well_formed'),
  ...columnsOf('STRING', 'ended'),
  ...columnsOf('INT32', 'turns', 'calls', 'failed_calls'),
  ...columnsOf('DOUBLE', 'cost'),
  ...columnsOf('INT32', 'tokens', 'sampled_tokens'),
  ...columnsOf('DOUBLE', 'mean_logprob', 'answer_reward', 'format_reward', 'accuracy_reward'),
  ...columnsOf('DOUBLE', 'accuracy_advantage', 'efficiency_advantage'),
  ...columnsOf('STRING', 'ungraded', 'messages', 'tool_calls'),
]

function* rollouts(store: RunStore): Generator<ExportRow> {
  const statement = store.database.sql(
    'SELECT rollouts.*, messages, tool_calls FROM rollouts JOIN conversations USING (id) ORDER BY id',
  )
  for (const row of statement.iterate() as Iterable<RolloutRow & { messages: string; tool_calls: string }>) {
    const { id: _, correct, well_formed: wellFormed, ...rest } = row
    yield { ...rest, correct: correct === null ? null : correct === 1, well_formed: wellFormed === 1 }
  }
}

const tokenColumns: Column[] = [
  ...columnsOf('INT32', 'step', 'prompt', 'rollout', 'sequence', 'position', 'token'),
  ...columnsOf('BOOLEAN', 'sampled'),
  ...columnsOf('DOUBLE', 'logprob', 'ratio', 'accuracy_gradient', 'efficiency_gradient'),
]

/** Given tokens have neither logprob nor gradient. The ratio is 1 where the run did not record training logprobs. */
function* tokens(store: RunStore): Generator<ExportRow> {
  const { accuracyWeight, efficiencyWeight, clip } = loadRunLoss(store.path)
  for (const id of store.rolloutIds()) {
    const stored = store.rollout(id)
    if (!stored) continue
    const {
      step,
      prompt,
      rollout,
      accuracy_advantage: accuracy,
      efficiency_advantage: efficiency,
    } = stored.row
    for (const [sequence, { tokens: ids, mask, logprobs, trainingLogprobs }] of stored.sequences.entries()) {
      for (const [position, token] of ids.entries()) {
        const sampled = mask[position] === 1
        const logprob = logprobs[position] as number
        const ratio = trainingLogprobs ? tokenRatio(trainingLogprobs[position] as number, logprob) : 1
        const gradient = (weight: number, advantage: number | null) =>
          sampled && advantage !== null ? weight * tokenGradientWeight(advantage, ratio, clip) : null
        yield {
          ...{ step, prompt, rollout, sequence, position, token, sampled },
          logprob: sampled ? logprob : null,
          ratio: sampled ? ratio : null,
          accuracy_gradient: gradient(accuracyWeight, accuracy),
          efficiency_gradient: gradient(efficiencyWeight, efficiency),
        }
      }
    }
  }
}
