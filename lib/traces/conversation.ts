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
  /** Where it is from, for errors: 'log.jsonl:7'. Absent for conversations of traces, which are made of several spans. */
  source?: string
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
  if (used.every(({ role, trained }) => role !== 'assistant' || trained === 'none')) {
    throw new UnusableTrace('has no assistant message of a weight other than 0')
  }
  if (answerTags === 'add' && final.trained !== 'none') used[last] = withAnswerTags(final)
  return { messages: used, ...(tools && tools.length > 0 && { tools: [...tools] }) }
}

/** Nothing inside a thought is an answer, so the tags are put after it, where rollouts look for them. */
function withAnswerTags(final: Message): Message {
  const { content } = final
  const { thought, said } = splitThought(content, final.thought === undefined ? 'unknown' : false)
  if (hasAnswerTag(said)) return final
  const answer = said.trim()
  const thinks = thought !== '' || final.thought !== undefined
  if (answer === '') {
    throw new UnusableTrace(
      thinks ? 'ends with a thought that no answer follows' : 'ends with an empty message',
    )
  }
  if (!thinks) return { ...final, content: tagAnswer(answer) }
  return { ...final, content: thought + said.slice(0, said.indexOf(answer)) + tagAnswer(answer) }
}

function mergeAssistants(messages: readonly Message[]): Message[] {
  const merged: Message[] = []
  for (const message of messages) {
    const before = merged.at(-1)
    if (message.role !== 'assistant' || before?.role !== 'assistant') {
      merged.push(message)
      continue
    }
    merged[merged.length - 1] = joinTwo(before, message)
  }
  return merged
}

function joinTwo(before: Message, message: Message): Message {
  const [trained = 'all', next = 'all'] = [before.trained, message.trained]
  if (trained !== next) throw new UnusableTrace('has assistant messages of different weight side by side')
  const toolCalls = [...(before.toolCalls ?? []), ...(message.toolCalls ?? [])]
  const content = [before.content, message.content].filter((text) => text !== '').join('\n')
  const thought = [before.thought, message.thought].filter((text) => text !== undefined).join('\n')
  return {
    role: 'assistant',
    content,
    ...(thought !== '' && { thought }),
    ...(toolCalls.length > 0 && { toolCalls }),
    ...(before.trained && { trained: before.trained }),
  }
}
