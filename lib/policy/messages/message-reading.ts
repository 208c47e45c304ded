// How messages in OpenAI's form are read: by one reader for requests, replies, logs, tasks and data of supervised training, which
// differ in the error that a mistake is and in what else a message may hold.
import { deepest } from '../../core/exact-json.js'
import type { OptionMistake } from '../../core/option-error.js'
import type { ToolDescription } from '../types.js'

export interface MessageReading {
  /** Throws an error that names the field: `messages[2].role: must be ..., got ...` (describeMistake in core/option-error.ts). */
  fail: (mistake: OptionMistake) => never
  /**
   * Whether messages must have exactly the form of OpenAI's API, as in a request: other keys are refused, ids are needed, and arguments
   * that are no JSON stay text. Otherwise, as in logs: other keys are ignored, missing or repeated ids are left out, older forms and
   * hdpo's own keys (toolCalls, callId, thought, trained) are understood, and arguments that are no JSON are refused, because
   * the policy would learn to write them.
   */
  strict?: boolean
  /** The tools of the conversation, which say what a null in a call's arguments means (filled-nulls.ts). */
  tools?: readonly ToolDescription[]
  /** The name of message `index` in errors. Default: messages[index]. */
  nameOf?: (index: number) => string
}

export type Fail = MessageReading['fail']

/** Fails by name where `value`, which nothing has walked through yet, is nested too deeply. */
export function checkNesting(value: unknown, option: string, fail: Fail): void {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > deepest) {
      fail({ option, expected: `nested at most ${deepest} levels deep`, given: value })
    }
    level = level.flatMap((item) =>
      typeof item === 'object' && item !== null
        ? Object.values(item).filter((inner) => typeof inner === 'object' && inner !== null)
        : [],
    )
  }
}
