// The token sequences of conversations. A conversation that cannot be used is named by where it is from: 'log.jsonl:41'.
import { HdpoError } from '../core/errors.js'
import { Described, InvalidOptionError, type OptionMistake } from '../core/option-error.js'
import { readMessages } from '../policy/messages/read-messages.js'
import { readTools } from '../policy/messages/read-tools.js'
import type { SupervisedTokens } from '../policy/types.js'
import type { MaskedSequence } from './batch.js'
import type { Conversation, ResolvedSupervisedOptions } from './supervised-options.js'

type Given = Pick<ResolvedSupervisedOptions, 'policy' | 'conversations' | 'tools' | 'onWarning'>

export interface TrainedConversation extends MaskedSequence {
  /** Control tokens that its texts spell out; ordinary text in the sequence. */
  controlTokensInText: number
}

/** One sequence a conversation, in order. Warns of thoughts that the template has no form for. */
export function supervisedSequences(given: Given): TrainedConversation[] {
  const sequences = given.conversations.map((conversation, index) => sequenceOf(conversation, index, given))
  const dropped = sequences.reduce((sum, { droppedThoughts = 0 }) => sum + droppedThoughts, 0)
  if (dropped > 0) {
    given.onWarning(
      `${dropped} ${dropped === 1 ? 'thought' : 'thoughts'} of the conversations are not trained on: the chat template does not write them`,
    )
  }
  return sequences
}

function sequenceOf(
  conversation: Conversation,
  index: number,
  { policy, tools }: Given,
): SupervisedTokens & TrainedConversation {
  const { source } = conversation
  const placed = (option: string) =>
    source === undefined ? `conversations[${index}].${option}` : `${source}: ${option}`
  const fail = ({ option, expected, given }: OptionMistake): never => {
    throw new InvalidOptionError(placed(option), expected, given)
  }
  const own = readTools(conversation.tools, 'tools', fail) ?? [...tools]
  const messages = readMessages(conversation.messages, { fail, tools: own })
  const sequence = inPlace(() => policy.template.supervised(messages, own), placed)
  const { length } = sequence.tokens
  if (length <= policy.maxTokens) {
    return { ...sequence, controlTokensInText: policy.template.controlTokensInText?.(messages, own) ?? 0 }
  }
  throw new InvalidOptionError(
    source ?? `conversations[${index}]`,
    `at most ${policy.maxTokens} tokens, the policy's longest sequence`,
    new Described(`${length} tokens`),
  )
}

/** Puts the place of the conversation before what the template says about its messages. */
function inPlace<Result>(render: () => Result, placed: (option: string) => string): Result {
  try {
    return render()
  } catch (error) {
    if (error instanceof InvalidOptionError) {
      const { option, expected, given } = error
      throw new InvalidOptionError(placed(option), expected, given, { cause: error })
    }
    if (!(error instanceof HdpoError)) throw error
    throw new HdpoError(error.code, `${placed('messages')}: ${error.message}`, { cause: error })
  }
}
