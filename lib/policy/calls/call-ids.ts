// Ids by which a tool's result names its call. Templates that write them (Mistral's) want nine letters and digits, and a policy
// that was trained on such a template matches results to calls by them; other templates write none.
import { createHash } from 'node:crypto'
import type { Message } from '../types.js'

const length = 9
const valid = /^[A-Za-z0-9]{9}$/

/**
 * The id as it stands in the sequence: the given one where it is valid, else one derived from it; without a given one, an id for
 * the conversation's call number `place`, counted from 0.
 */
export function callId(given: string | undefined, place: number): string {
  if (given === undefined) return `call${String(place).padStart(5, '0')}`
  return valid.test(given) ? given : createHash('sha256').update(given).digest('hex').slice(0, length)
}

/** Every call with an id, and every result with the id of its call: results are in the order of the calls that they follow. */
export function withCallIds(messages: readonly Message[]): Message[] {
  let calls = 0
  let waiting: string[] = []
  return messages.map((message) => {
    if (message.toolCalls) {
      const toolCalls = message.toolCalls.map((call) => ({ ...call, id: callId(call.id, calls++) }))
      waiting = toolCalls.map(({ id }) => id)
      return { ...message, toolCalls }
    }
    if (message.role !== 'tool') return message
    const next = waiting.shift()
    return { ...message, callId: callId(message.callId ?? next, next === undefined ? calls++ : 0) }
  })
}
