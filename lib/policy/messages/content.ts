// The content of a message: text, or a list of parts of which only text can be read.
import { isRecord } from '../../core/is-record.js'
import type { Fail } from './message-reading.js'
import { thoughtText } from './reasoning.js'

export interface ReadContent {
  text: string
  /** What the thinking parts say; '' without any. */
  thought: string
}

const textTypes: readonly unknown[] = ['text', 'input_text', 'output_text', undefined, null]
const thinkingTypes: readonly unknown[] = ['thinking', 'reasoning', 'redacted_thinking']

/** `mayThink`: whether parts may be thoughts (Mistral's `thinking`), as the assistant's may. */
export function readContent(content: unknown, option: string, fail: Fail, mayThink = false): ReadContent {
  if (typeof content === 'string') return { text: content, thought: '' }
  if (!Array.isArray(content)) {
    return fail({ option, expected: 'text or a list of parts', given: content })
  }
  const thoughts: string[] = []
  const texts = content.map((part: unknown, index) => {
    if (mayThink && isRecord(part) && thinkingTypes.includes(part.type)) {
      const thought = thoughtText(part)
      if (thought === undefined) {
        return fail({ option: `${option}[${index}]`, expected: 'a part whose thought is text', given: part })
      }
      thoughts.push(thought)
      return ''
    }
    return partText(part, `${option}[${index}]`, fail)
  })
  return { text: texts.join(''), thought: joined(thoughts) }
}

function partText(part: unknown, option: string, fail: Fail): string {
  if (typeof part === 'string') return part
  if (!isRecord(part)) return fail({ option, expected: 'a part of type text', given: part })
  if (part.type === 'refusal' && typeof part.refusal === 'string') return part.refusal
  if (!textTypes.includes(part.type)) {
    return fail({
      option: `${option}.type`,
      expected: 'text, because the policy reads text only',
      given: part.type,
    })
  }
  if (typeof part.text !== 'string')
    return fail({ option: `${option}.text`, expected: 'text', given: part.text })
  return part.text
}

export function joined(texts: readonly string[]): string {
  return texts.filter((text) => text.trim() !== '').join('\n')
}
