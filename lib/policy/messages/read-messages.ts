// The one reader of messages in OpenAI's form, for requests (lib/server/), logs (lib/traces/), tasks, and conversations of supervised
// training. Replies of endpoints are read by read-reply.ts.
import { heldExactly } from '../../core/exact-json.js'
import { isRecord } from '../../core/is-record.js'
import { splitThought } from '../calls/thoughts.js'
import type { Message, TrainedPart } from '../types.js'
import { joined, readContent } from './content.js'
import type { MessageReading } from './message-reading.js'
import { readCalls } from './read-calls.js'
import { readThought } from './reasoning.js'
import { type NamedMessage, resultIdOf, resultsInOrder } from './results-in-order.js'

/** At least one message; every result is in the order of the calls of its turn and names its call. */
export function readMessages(value: unknown, reading: MessageReading): Message[] {
  const { fail, nameOf = (index: number) => `messages[${index}]` } = reading
  if (!Array.isArray(value) || value.length === 0) {
    return fail({ option: 'messages', expected: 'a list of at least one message', given: value })
  }
  const read = value.map((message: unknown, index): NamedMessage => {
    const name = nameOf(index)
    return { message: readMessage(message, name, reading), name }
  })
  return resultsInOrder(read, reading).map(({ message }) => message)
}

function readMessage(value: unknown, option: string, reading: MessageReading): Message {
  const { strict = false, fail } = reading
  if (!isRecord(value)) return fail({ option, expected: 'an object', given: value })
  switch (value.role) {
    case 'system':
    case 'developer':
      return plainMessage('system', value, option, reading)
    case 'user':
      return plainMessage('user', value, option, reading)
    case 'assistant':
      return assistantMessage(value, option, reading)
    case 'tool':
      return toolMessage(value, option, reading)
    case 'function':
      if (!strict) return toolMessage(value, option, reading)
  }
  const roles = 'system, developer, user, assistant or tool'
  return fail({ option: `${option}.role`, expected: roles, given: value.role })
}

function plainMessage(
  role: 'system' | 'user',
  value: Record<string, unknown>,
  option: string,
  reading: MessageReading,
): Message {
  refuseOthers(value, option, ['role', 'content', 'name'], reading)
  const { text } = readContent(value.content, `${option}.content`, reading.fail)
  return { role, content: text, ...nameIn(value) }
}

function assistantMessage(value: Record<string, unknown>, option: string, reading: MessageReading): Message {
  refuseOthers(value, option, assistantKeys, reading)
  const { fail } = reading
  const toolCalls = readCalls(value, option, reading)
  const field = readThought(value, option, fail)
  const isEmpty = value.content === undefined || value.content === null
  const given = isEmpty || value.content === '' ? (value.refusal ?? '') : value.content
  if (isEmpty && given === '' && toolCalls.length === 0 && field === '') {
    const expected = 'text or a list of parts where there are no tool_calls'
    return fail({ option: `${option}.content`, expected, given: value.content })
  }
  const { text, thought: parts } = readContent(given, `${option}.content`, fail, true)
  const thought = field === '' ? joined([parts]) : field
  const trained = reading.strict ? undefined : trainedPart(value, option, reading)
  return {
    role: 'assistant',
    content: thought === '' ? text : withoutThought(text),
    ...(thought !== '' && { thought }),
    ...(toolCalls.length > 0 && { toolCalls }),
    ...(trained !== undefined && { trained }),
  }
}

/** Some programs log a thought twice: in its field, and at the beginning of the content. */
function withoutThought(content: string): string {
  const { thought, said } = splitThought(content)
  return thought === '' ? content : said.trimStart()
}

const assistantKeys = [
  'role',
  'content',
  'name',
  'tool_calls',
  'refusal',
  'reasoning_content',
  'reasoning',
  'reasoning_details',
]

function toolMessage(value: Record<string, unknown>, option: string, reading: MessageReading): Message {
  refuseOthers(value, option, ['role', 'content', 'name', 'tool_call_id'], reading)
  const { strict = false, fail } = reading
  const id = value.tool_call_id
  if (strict && typeof id !== 'string')
    return fail({ option: `${option}.tool_call_id`, expected: 'text', given: id })
  const callId = strict ? (id as string) : resultIdOf(value)
  const { text } = readContent(value.content, `${option}.content`, fail)
  return { role: 'tool', content: text, ...nameIn(value), ...(callId !== undefined && { callId }) }
}

function nameIn({ name }: Record<string, unknown>): { name?: string } {
  return typeof name === 'string' && name !== '' ? { name } : {}
}

/** OpenAI's `weight`: a message of weight 0 is read, but not learned from. */
function trainedPart(
  { weight, trained }: Record<string, unknown>,
  option: string,
  { fail }: MessageReading,
): TrainedPart | undefined {
  if (trained !== undefined && trained !== null) {
    const parts: readonly unknown[] = trainedParts
    if (parts.includes(trained)) return trained as TrainedPart
    return fail({
      option: `${option}.trained`,
      expected: `one of ${trainedParts.join(', ')}`,
      given: trained,
    })
  }
  if (weight === undefined || weight === null) return undefined
  // A column of floats has 1.0.
  const number = heldExactly(weight, '', 'text')
  if (number === 0 || number === 1) return number === 0 ? 'none' : 'all'
  return fail({ option: `${option}.weight`, expected: '0 or 1', given: number })
}

const trainedParts: readonly TrainedPart[] = ['all', 'without-calls', 'first', 'none']

/** Refuses unknown keys, except empty ones (null, empty list or text), because SDKs send back whole response messages. */
function refuseOthers(
  value: Record<string, unknown>,
  option: string,
  known: readonly string[],
  { strict = false, fail }: MessageReading,
): void {
  if (!strict) return
  for (const [key, given] of Object.entries(value)) {
    const empty = given == null || given === '' || (Array.isArray(given) && given.length === 0)
    if (!known.includes(key) && !empty) {
      fail({ option: `${option}.${key}`, expected: 'left out, because it is not supported', given })
    }
  }
}
