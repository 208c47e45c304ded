// Turns an imported conversation into one for supervised training.
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import type { OptionsOf } from '../core/options.js'
import { hasAnswerTag, tagAnswer } from '../policy/calls/markup.js'
import { splitThought } from '../policy/calls/thoughts.js'
import type { Message, ToolDescription } from '../policy/types.js'

/** The form of conversations in trainer/supervised-trainer.ts. */
export interface ImportedConversation {
  messages: Message[]
  /** The tools that the assistant had, if the trace says so. */
  tools?: ToolDescription[]
}

export const importShape = {
  /**
   * 'add': the last assistant message, apart from its thought, is put into <answer> tags if it has none, because the rewards look
   * for an answer in them and the policy has to learn them. 'keep': it stays as it was written. Default 'add'.
   */
  answerTags: z.enum(['add', 'keep']).default('add'),
}
export interface ImportOptions extends OptionsOf<typeof importShape> {}

/** A conversation that cannot be trained on, with the reason. */
export class UnusableTrace extends HdpoError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_TRACE', message, options)
    this.name = 'UnusableTrace'
  }
}

/**
 * Assistant messages side by side become one; what follows the last assistant message is cut off. Throws an UnusableTrace if
 * nothing is left to learn from.
 */
export function finishConversation(
  messages: readonly Message[],
  tools: readonly ToolDescription[] | undefined,
  { answerTags = 'add' }: ImportOptions,
): ImportedConversation {
  const merged = mergeAssistants(messages)
  const last = merged.findLastIndex(({ role }) => role === 'assistant')
  if (last === -1) throw new UnusableTrace('has no assistant message')
  if (last === 0 || merged[0]?.role === 'assistant')
    throw new UnusableTrace('begins with an assistant message')
  const used = merged.slice(0, last + 1)
  const final = used[last] as Message
  // The trace was cut off in the middle: the results of its calls, and the answer, are missing.
  if (final.toolCalls?.length) throw new UnusableTrace('ends with a tool call that nothing came of')
  if (answerTags === 'add') used[last] = { ...final, content: withAnswerTags(final.content) }
  return { messages: used, ...(tools && tools.length > 0 && { tools: [...tools] }) }
}

/** Nothing inside a thought is an answer, so the tags are put after it, where rollouts look for them. */
function withAnswerTags(content: string): string {
  const { thought, said } = splitThought(content, 'unknown')
  if (hasAnswerTag(said)) return content
  const answer = said.trim()
  if (thought === '') return tagAnswer(answer)
  if (answer === '') throw new UnusableTrace('ends with a thought that no answer follows')
  return thought + said.slice(0, said.indexOf(answer)) + tagAnswer(answer)
}

function mergeAssistants(messages: readonly Message[]): Message[] {
  const merged: Message[] = []
  for (const message of messages) {
    const before = merged.at(-1)
    if (message.role !== 'assistant' || before?.role !== 'assistant') {
      merged.push(message)
      continue
    }
    const toolCalls = [...(before.toolCalls ?? []), ...(message.toolCalls ?? [])]
    const content = [before.content, message.content].filter((text) => text !== '').join('\n')
    merged[merged.length - 1] = { role: 'assistant', content, ...(toolCalls.length > 0 && { toolCalls }) }
  }
  return merged
}
