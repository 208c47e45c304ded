// Rollouts that are known as text, not as tokens: they have what an evaluation needs, and nothing that could be trained on.
import { findAnswers, isWellFormed } from '../policy/calls/markup.js'
import { splitThought } from '../policy/calls/thoughts.js'
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
 * `lastText` is the text of the last turn. The answer is inside the <answer> tags after its thought, or all the text after the
 * thought if there are no tags; a thought that does not end has no answer.
 */
export function playedRollout(played: Played, lastText: string): PlayedRollout {
  const { said } = splitThought(lastText, 'unknown')
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
