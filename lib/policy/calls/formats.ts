// The formats that hdpo knows. A new one is a file beside this, an entry here, and a row in test/policy/calls/formats.test.ts.
import { InvalidOptionError } from '../../core/option-error.js'
import type { CallFormat } from './call-format.js'
import { hermes } from './hermes.js'
import { llama3Json } from './llama3-json.js'
import { mistral } from './mistral.js'
import { mistralArgs } from './mistral-args.js'

/** In the order in which a template is searched for them, the one with the most specific marks first. */
export const callFormats = [hermes, mistralArgs, mistral, llama3Json] as const

/**
 * 'hermes': <tool_call>{"name": ..., "arguments": {...}}</tool_call> (Qwen, Hermes).
 * 'llama3-json': a turn that is nothing but {"name": ..., "parameters": {...}}, after <|python_tag|> or not (Llama 3.1 and on).
 * 'mistral': [TOOL_CALLS] [{"name": ..., "arguments": {...}, "id": ...}] at the end of a turn (Mistral 7B v0.3 to Small 3.1).
 * 'mistral-args': [TOOL_CALLS]name[ARGS]{...} at the end of a turn, [CALL_ID] and an id in between or not (later ones).
 */
export type ToolFormat = (typeof callFormats)[number]['name']

/** The names, sorted. */
export const toolFormats: readonly ToolFormat[] = callFormats.map(({ name }) => name).sort()

/** Policies whose templates do not mention calls learn to write this format. */
export const defaultFormat = hermes

/** Throws InvalidOptionError for an unknown name, which a caller's own template may give. */
export function formatNamed(name: ToolFormat): CallFormat<ToolFormat> {
  const found = callFormats.find((format) => format.name === name)
  if (found) return found
  throw new InvalidOptionError('toolFormat', `one of ${toolFormats.join(', ')}`, name)
}

/** The format that a chat template's policy writes. */
export function formatOf({
  toolFormat = defaultFormat.name,
}: {
  toolFormat?: ToolFormat
}): CallFormat<ToolFormat> {
  return formatNamed(toolFormat)
}
