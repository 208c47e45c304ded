// Converts a line of rollouts/step-<N>.jsonl to rows of run.sqlite.
import { isFullScore } from '../../core/full-score.js'
import type { Message } from '../../policy/types.js'
import { toolCost } from '../../rollout/call-cost.js'
import { tokenSequences } from '../../rollout/token-sequences.js'
import type { Rollout, ToolCallRecord } from '../../rollout/types.js'
import type { Database, SqlValue } from './database.js'

/** One sequence in JSON; it has `trainingLogprobs` where the run records them (recordTrainingLogprobs). */
interface RecordedSequence {
  tokens: number[]
  mask: number[]
  logprobs: number[]
  trainingLogprobs?: number[]
}

/** The content of a line. Redacted rollouts have no tokens, ungraded ones no rewards. */
export interface RecordedRollout extends Partial<RecordedSequence> {
  prompt: number
  rollout: number
  id: string
  taskId: string
  messages: Message[]
  toolCalls: ToolCallRecord[]
  turns: number
  end: string
  finalAnswer?: string
  wellFormed: boolean
  moreSequences?: RecordedSequence[]
  metadata?: Record<string, unknown>
  answerReward?: number
  formatReward?: number
  accuracyReward?: number
  accuracyAdvantage?: number
  efficiencyAdvantage?: number
  ungraded?: string
}

// Ids leave room for a million rollouts per step, so that they follow the order of steps, whichever was indexed first.
const rolloutsPerStep = 2 ** 20

export const rolloutId = (step: number, line: number): number => step * rolloutsPerStep + line

export function insertRollout(database: Database, step: number, line: number, record: RecordedRollout): void {
  const id = rolloutId(step, line)
  const sequences = record.tokens ? tokenSequences(record as unknown as Rollout) : []
  insert(database, 'rollouts', { id, step, ...summary(record, sequences as unknown as RecordedSequence[]) })
  insert(database, 'conversations', {
    id,
    messages: JSON.stringify(record.messages),
    tool_calls: JSON.stringify(record.toolCalls),
    metadata: record.metadata === undefined ? null : JSON.stringify(record.metadata),
  })
  for (const [sequence, { tokens, mask, logprobs, trainingLogprobs }] of (
    sequences as unknown as RecordedSequence[]
  ).entries()) {
    insert(database, 'sequences', {
      id,
      sequence,
      tokens: bytes(Int32Array.from(tokens)),
      mask: Uint8Array.from(mask),
      logprobs: bytes(Float32Array.from(logprobs)),
      training_logprobs: trainingLogprobs ? bytes(Float32Array.from(trainingLogprobs)) : null,
    })
  }
  insertText(database, id, record)
}

function summary(record: RecordedRollout, sequences: readonly RecordedSequence[]): Record<string, SqlValue> {
  const { toolCalls, answerReward } = record
  const sampled = sequences.flatMap(({ mask, logprobs }) => logprobs.filter((_, index) => mask[index] === 1))
  return {
    prompt: record.prompt,
    rollout: record.rollout,
    name: record.id,
    task: record.taskId,
    question: questionOf(record.messages),
    answer: record.finalAnswer ?? null,
    correct: answerReward === undefined ? null : Number(isFullScore(answerReward)),
    well_formed: Number(record.wellFormed),
    ended: record.end,
    turns: record.turns,
    calls: toolCalls.length,
    failed_calls: toolCalls.filter(({ outcome }) => outcome !== 'ok').length,
    cost: toolCost(record),
    tokens: sequences.reduce((sum, { tokens }) => sum + tokens.length, 0),
    sampled_tokens: sampled.length,
    mean_logprob:
      sampled.length === 0 ? null : sampled.reduce((sum, value) => sum + value, 0) / sampled.length,
    answer_reward: answerReward ?? null,
    format_reward: record.formatReward ?? null,
    accuracy_reward: record.accuracyReward ?? null,
    accuracy_advantage: record.accuracyAdvantage ?? null,
    efficiency_advantage: record.efficiencyAdvantage ?? null,
    ungraded: record.ungraded ?? null,
  }
}

function insertText(
  database: Database,
  id: number,
  { taskId, messages, finalAnswer }: RecordedRollout,
): void {
  const conversation = messages.map(({ content, toolCalls }) =>
    [content, ...(toolCalls ?? []).map((call) => `${call.name} ${JSON.stringify(call.arguments)}`)].join(
      '\n',
    ),
  )
  database
    .sql('INSERT INTO rollout_text (rowid, task, question, conversation, answer) VALUES (?, ?, ?, ?, ?)')
    .run(id, taskId, questionOf(messages), conversation.join('\n'), finalAnswer ?? '')
}

/** The last message of the user before the policy's first. */
function questionOf(messages: readonly Message[]): string {
  const first = messages.findIndex(({ role }) => role === 'assistant')
  const asked = messages.slice(0, first === -1 ? messages.length : first)
  return asked.findLast(({ role }) => role === 'user')?.content ?? ''
}

function insert(database: Database, table: string, row: Record<string, SqlValue>): void {
  const names = Object.keys(row)
  const places = names.map(() => '?').join(', ')
  database.sql(`INSERT INTO ${table} (${names.join(', ')}) VALUES (${places})`).run(...Object.values(row))
}

function bytes({ buffer }: Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(buffer)
}
