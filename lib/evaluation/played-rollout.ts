// Rollouts that were played by text, not by tokens: what an evaluation needs of them, and nothing that could be trained on.
import { findAnswers, isWellFormed } from '../policy/calls/markup.js'
import type { Rollout } from '../rollout/types.js'

export interface PlayedRollout extends Rollout {
  /** Wall clock from the question to the answer. */
  latencySeconds: number
  /** As whoever answered reports them; 0 where nothing is reported. */
  usage: { promptTokens: number; completionTokens: number }
}

type Played = Pick<
  PlayedRollout,
  | 'id'
  | 'taskId'
  | 'messages'
  | 'toolCalls'
  | 'turns'
  | 'end'
  | 'latencySeconds'
  | 'usage'
  | 'outcome'
  | 'metadata'
  | 'failure'
>

/** `lastText`: the last turn's. Its answer is inside <answer> tags, or all of it where it has none. */
export function playedRollout(played: Played, lastText: string): PlayedRollout {
  const tagged = findAnswers(lastText)
  const whole = lastText.trim()
  const plain = whole === '' || played.end !== 'answer' ? undefined : whole
  return {
    ...played,
    tokens: new Int32Array(),
    mask: new Uint8Array(),
    logprobs: new Float32Array(),
    promptTokens: 0,
    finalAnswer: tagged.at(-1) ?? plain,
    wellFormed: tagged.length > 0 ? isWellFormed([lastText]) : plain !== undefined,
  }
}
