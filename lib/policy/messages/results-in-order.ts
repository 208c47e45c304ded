// Which call each tool's result is for. Most templates write no ids: there a result is for the call in the same place, so results
// that follow a turn are put in the order of its calls.
import { Described } from '../../core/option-error.js'
import type { Message, ToolCall } from '../types.js'
import type { MessageReading } from './message-reading.js'
import { callIdOf } from './read-calls.js'

export interface NamedMessage {
  message: Message
  /** What the message is called in errors. */
  name: string
}

interface AskedCall {
  call: ToolCall
  /** The id as it was given. */
  id: string | undefined
  name: string
  answered: boolean
}

/**
 * Every result with the name and id of its call, in the order of the calls of its turn; assistant messages side by side are one
 * turn. A result without an id is for the first call of its name that has no result yet, else for the first call. Without
 * `strict`, calls keep an id only where no call before them has the same, so that ids are unique in the conversation.
 */
export function resultsInOrder(messages: readonly NamedMessage[], reading: MessageReading): NamedMessage[] {
  const ordered: NamedMessage[] = []
  const asked: AskedCall[] = []
  const used = new Set<string>()
  for (let at = 0; at < messages.length; ) {
    const turn = takeWhile(messages, at, 'assistant')
    at += turn.length
    const open = turn.flatMap((one) => callsOf(one))
    if (!reading.strict) keepUniqueIds(open, used)
    asked.push(...open)
    const results = takeWhile(messages, at, 'tool')
    at += results.length
    ordered.push(...turn, ...answersOf(results, open, asked, reading))
    const next = messages[at]
    if (turn.length === 0 && results.length === 0 && next) {
      ordered.push(next)
      at++
    }
  }
  return ordered
}

function callsOf({ message, name }: NamedMessage): AskedCall[] {
  return (message.toolCalls ?? []).map((call, index) => ({
    call,
    id: call.id,
    name: `${name}.tool_calls[${index}]`,
    answered: false,
  }))
}

function takeWhile(messages: readonly NamedMessage[], from: number, role: Message['role']): NamedMessage[] {
  let end = from
  while (messages[end]?.message.role === role) end++
  return messages.slice(from, end)
}

function keepUniqueIds(calls: readonly AskedCall[], used: Set<string>): void {
  for (const { call, id } of calls) {
    if (id === undefined) continue
    if (used.has(id)) delete call.id
    used.add(id)
  }
}

function answersOf(
  results: readonly NamedMessage[],
  open: readonly AskedCall[],
  asked: readonly AskedCall[],
  reading: MessageReading,
): NamedMessage[] {
  const placed = results.map((result) => {
    const call = callOf(result, open, asked, reading)
    if (call) call.answered = true
    const place = call ? open.indexOf(call) : -1
    return { result: answerTo(result, call), place: place === -1 ? open.length : place }
  })
  if (!reading.strict) checkNoGap(open, reading)
  return placed.sort((a, b) => a.place - b.place).map(({ result }) => result)
}

/** Undefined for the result of a call that could not be read and is part of the assistant's text. */
function callOf(
  { message, name }: NamedMessage,
  open: readonly AskedCall[],
  asked: readonly AskedCall[],
  { fail }: MessageReading,
): AskedCall | undefined {
  const waiting = open.filter(({ answered }) => !answered)
  const { callId } = message
  if (callId === undefined) return waiting.find(({ call }) => call.name === message.name) ?? waiting[0]
  const named =
    waiting.find(({ id }) => id === callId) ?? asked.findLast((one) => !one.answered && one.id === callId)
  const unnamed = waiting.find(({ id }) => id === undefined)
  if (named ?? unnamed) return named ?? unnamed
  const again = asked.some(({ id }) => id === callId)
  const expected = again ? 'the only result of its call' : 'the id of a call in a message before it'
  return fail({ option: `${name}.tool_call_id`, expected, given: callId })
}

function answerTo({ message, name }: NamedMessage, asked: AskedCall | undefined): NamedMessage {
  if (!asked) return { message, name }
  const { callId: _, ...rest } = message
  const { id } = asked.call
  return { message: { ...rest, name: asked.call.name, ...(id !== undefined && { callId: id }) }, name }
}

/** The result after a gap would be read as that of the call in the gap. */
function checkNoGap(open: readonly AskedCall[], { fail }: MessageReading): void {
  const last = open.findLastIndex(({ answered }) => answered)
  const gap = open.slice(0, last + 1).find(({ answered }) => !answered)
  if (!gap) return
  fail({
    option: gap.name,
    expected: 'answered, as a later call of its turn is',
    given: new Described('no result'),
  })
}

/** The id that a tool's message gives, in OpenAI's form or hdpo's. */
export function resultIdOf(message: Record<string, unknown>): string | undefined {
  return callIdOf(message.tool_call_id) ?? callIdOf(message.callId)
}
