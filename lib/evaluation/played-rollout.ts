// Rollouts that are known as text, not as tokens: they have what an evaluation needs, and nothing that could be trained on.
import { findAnswers, isWellFormed } from '../policy/calls/markup.js'
import type { Rollout } from '../rollout/types.js'

export interface PlayedRollout extends Rollout {
  /** Wall clock from the question to the answer. */
  latencySeconds: number
  /** Tokens as the endpoint or agent reports them; 0 if it reports nothing. */
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

/**
 * `said` is the text of the last turn after its thought; '' where the thought does not end, so that there is no answer. The
 * answer is inside the <answer> tags, or all of the text if there are none.
 */
export function playedRollout(played: Played, said: string): PlayedRollout {
  const tagged = findAnswers(said)
  const whole = said.trim()
  const plain = whole === '' || played.end !== 'answer' ? undefined : whole
  return {
    ...played,
    tokens: new Int32Array(),
    mask: new Uint8Array(),
    logprobs: new Float32Array(),
    promptTokens: 0,
    finalAnswer: tagged.at(-1) ?? plain,
    wellFormed: tagged.length > 0 ? isWellFormed([said]) : plain !== undefined,
  }
}
