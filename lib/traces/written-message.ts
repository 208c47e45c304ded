import type { Message, ToolDescription } from '../policy/types.js'
import { fromOpenAiMessages } from './openai.js'

/** A message of a trace in OpenAI's form, before it is read. */
export interface WrittenMessage {
  message: Record<string, unknown>
  /** What it is called in errors: 'gen_ai.input.messages[2]'. */
  name: string
}

export function readWritten(
  written: readonly WrittenMessage[],
  tools?: readonly ToolDescription[],
): Message[] {
  const messages = written.map(({ message }) => message)
  return fromOpenAiMessages(messages, tools, (index) => written[index]?.name ?? '')
}
