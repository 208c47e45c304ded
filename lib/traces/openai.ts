// Conversations in OpenAI's chat format, in which people log and fine-tune: { messages, tools? }. Many programs write it, so
// it is read leniently (lib/policy/messages/).

import { isRecord } from '../core/is-record.js'
import { describeMistake, type OptionMistake } from '../core/option-error.js'
import { readMessages } from '../policy/messages/read-messages.js'
import { readTools } from '../policy/messages/read-tools.js'
import type { Message, ToolDescription } from '../policy/types.js'
import {
  finishConversation,
  type ImportedConversation,
  type ImportOptions,
  UnusableTrace,
} from './conversation.js'

export function fromOpenAi(value: unknown, options: ImportOptions = {}): ImportedConversation {
  if (!isRecord(value)) unusable({ option: 'a conversation', expected: 'an object', given: value })
  const tools = readTraceTools(value.tools ?? value.functions)
  return finishConversation(fromOpenAiMessages(value.messages, tools), tools, options)
}

/** `nameOf`: what messages are called in errors; without it messages[0] and so on. */
export function fromOpenAiMessages(
  messages: unknown,
  tools: readonly ToolDescription[] = [],
  nameOf?: (index: number) => string,
): Message[] {
  return readMessages(messages, { fail: unusable, tools, ...(nameOf && { nameOf }) })
}

export function readTraceTools(value: unknown): ToolDescription[] | undefined {
  return readTools(value, 'tools', unusable)
}

export function unusable(mistake: OptionMistake): never {
  throw new UnusableTrace(describeMistake(mistake))
}
