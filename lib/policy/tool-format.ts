// How a policy writes its calls, read off its chat template.
import type { Message } from './types.js'

/**
 * 'hermes': <tool_call>{"name": ..., "arguments": {...}}</tool_call> (Qwen, Hermes).
 * 'llama3-json': a turn that is nothing but {"name": ..., "parameters": {...}}, after <|python_tag|> or not (Llama 3.1 and on).
 */
export type ToolFormat = (typeof toolFormats)[number]
export const toolFormats = ['hermes', 'llama3-json'] as const

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
    // Templates that check more of a call than hdpo knows about it; what they say to the policy shows the format.
    if (source.includes('<tool_call>')) return 'hermes'
    return /<\|python_tag\|>|"parameters":/.test(source) ? 'llama3-json' : 'none'
  }
  if (!text.includes('probe_name')) return 'none'
  if (/<tool_call>\s*\{/.test(text)) return 'hermes'
  if (/\{"name":\s*"probe_name",\s*"parameters":/.test(text)) return 'llama3-json'
  const at = text.indexOf('probe_name')
  return { other: text.slice(Math.max(0, at - 40), at + 60) }
}
