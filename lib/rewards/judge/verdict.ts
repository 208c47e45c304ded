import { parseJsonKeeping } from '../../core/exact-json.js'
import { splitThought } from '../../policy/calls/thoughts.js'
import { withoutCodeFence } from '../code-fence.js'

/** What a judge says: whether what it was asked about holds, and why. */
export interface Verdict {
  correct: boolean
  reason: string
}

/** Tells a judge how to answer so that parseVerdict can read it. The reason comes first: it is written before the verdict. */
export const verdictInstruction =
  'Reply with one JSON object and nothing else: {"reason": "<one sentence>", "correct": true or false}'

/**
 * The verdict of a reply, undefined if it has none. Apart from a thought before it and a code fence around it, the whole reply has
 * to be the object: an object inside other text could be one that the judge quotes from the text it judges. A verdict whose reason
 * quotes the end of a thought is read as it stands.
 */
export function parseVerdict(reply: string): Verdict | undefined {
  return readVerdict(reply) ?? readVerdict(splitThought(reply, 'unknown').said)
}

function readVerdict(said: string): Verdict | undefined {
  let value: unknown
  try {
    value = parseJsonKeeping(withoutCodeFence(said), 'unheld')
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { correct, reason } = value as { correct?: unknown; reason?: unknown }
  if (typeof correct !== 'boolean') return undefined
  return { correct, reason: typeof reason === 'string' ? reason : '' }
}
