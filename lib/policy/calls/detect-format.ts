// The format of a policy's calls, read off its chat template.
import type { Message } from '../types.js'
import { callFormats, type ToolFormat } from './formats.js'

/** Formats recognise this call by its name in the text that a template renders. */
const probe: Message = {
  role: 'assistant',
  content: '',
  toolCalls: [{ name: 'probe_name', arguments: { probe_key: 'probe_value' } }],
}

/**
 * The format in which the template writes a call of the assistant; 'none' where it writes none: the policy was not made for
 * calls, or learns its format from examples. `other` holds text in a format that is not known here.
 */
export function detectToolFormat(
  source: string,
  render: (messages: Message[]) => string,
): ToolFormat | 'none' | { other: string } {
  const question: Message = { role: 'user', content: 'question' }
  let text: string
  try {
    text = render([question, probe])
  } catch {
    // Such templates expect more of a call than the probe has; the instructions in their source show the format.
    return callFormats.find(({ mentioned }) => mentioned.test(source))?.name ?? 'none'
  }
  const at = text.indexOf('probe_name')
  if (at === -1) return 'none'
  const found = callFormats.find(({ rendered }) => rendered.test(text))
  return found?.name ?? { other: text.slice(Math.max(0, at - 40), at + 60) }
}
