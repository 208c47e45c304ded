// How a policy writes its calls, read off its chat template.
import type { Message } from '../types.js'
import type { ToolFormat } from './format-names.js'

/** Templates that say nothing of calls are of policies that learn to write Hermes calls. */
export function toolFormatOf({ toolFormat = 'hermes' }: { toolFormat?: ToolFormat }): ToolFormat {
  return toolFormat
}

const probe: Message = {
  role: 'assistant',
  content: '',
  toolCalls: [{ name: 'probe_name', arguments: { probe_key: 'probe_value' } }],
}

/** What each format looks like in a rendered call of the probe. */
const written: readonly [ToolFormat, RegExp][] = [
  ['hermes', /<tool_call>\s*\{/],
  ['llama3-json', /\{"name":\s*"probe_name",\s*"parameters":/],
  ['mistral', /\[TOOL_CALLS\]\s*\[\s*\{"name":\s*"probe_name",\s*"arguments":/],
  ['mistral-args', /\[TOOL_CALLS\]\s*probe_name(\[CALL_ID\]\w+)?\[ARGS\]\s*\{/],
]

/**
 * What a template's source has where calls are written, first match first. Of templates that do not render the probe: they check
 * more of a call than hdpo knows about it, and what they say to the policy shows the format.
 */
const mentioned: readonly [ToolFormat, RegExp][] = [
  ['hermes', /<tool_call>/],
  ['mistral-args', /\[TOOL_CALLS\][\s\S]*\[ARGS\]/],
  ['mistral', /\[TOOL_CALLS\]/],
  ['llama3-json', /<\|python_tag\|>|"parameters":/],
]

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
    return formatOf(source, mentioned) ?? 'none'
  }
  const at = text.indexOf('probe_name')
  if (at === -1) return 'none'
  return formatOf(text, written) ?? { other: text.slice(Math.max(0, at - 40), at + 60) }
}

function formatOf(text: string, patterns: readonly [ToolFormat, RegExp][]): ToolFormat | undefined {
  return patterns.find(([, pattern]) => pattern.test(text))?.[0]
}
