// The format of a policy's calls, read off its chat template.
import type { Message } from '../types.js'
import { callFormats, type ToolFormat } from './formats.js'

/** Formats know it by its name in what a template makes of it. */
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
    // Such templates check more of a call than hdpo knows about it; what they say to the policy shows the format.
    return callFormats.find(({ mentioned }) => mentioned.test(source))?.name ?? 'none'
  }
  const at = text.indexOf('probe_name')
  if (at === -1) return 'none'
  const found = callFormats.find(({ rendered }) => rendered.test(text))
  return found?.name ?? { other: text.slice(Math.max(0, at - 40), at + 60) }
}
