// Where every answer is wrong, the rule that compares is the first suspect: an agent says "Sure! It is 30 days." beside a gold of
// "30 days", and nothing but zeros would tell.
import { redact } from '../core/redact.js'
import type { ScoredRollout, Task } from '../rollout/types.js'
import { isCorrect } from './score.js'

/** One answer beside its gold and what to try, where there are rollouts and none of them is right; else undefined. */
export async function describeAllWrong(
  groups: readonly (readonly ScoredRollout[])[],
  taskOf: (id: string) => Task | undefined | Promise<Task | undefined>,
): Promise<string | undefined> {
  const rollouts = groups.flat()
  if (rollouts.length === 0 || rollouts.some(isCorrect)) return undefined
  // One with an answer shows more than one without.
  const [shown = rollouts[0] as ScoredRollout] = rollouts.filter(
    ({ finalAnswer }) => finalAnswer !== undefined,
  )
  const gold = (await taskOf(shown.taskId))?.answer
  const answered =
    shown.finalAnswer === undefined
      ? 'none has an answer between <answer> and </answer>, where rewards look'
      : `${shown.taskId} was answered ${quote(shown.finalAnswer)}`
  return (
    `none of ${rollouts.length} answers is right: ${answered}${gold === undefined ? '' : `, where the task has ${quote(gold)}`}. ` +
    'Prose is graded by contains, a pattern of it by regex-match, meaning by llm-judge (docs/rewards.md)'
  )
}

function quote(value: unknown): string {
  const text = redact(JSON.stringify(value) ?? String(value))
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}
