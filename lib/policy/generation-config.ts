// generation_config.json: where transformers' generate() and vLLM end a turn, and how they sample.
import { decodeJsonObject } from '../core/json-file.js'
import { endTokensOf } from './chat-template.js'
import { formatJson } from './python-json.js'
import type { ChatTemplate } from './types.js'

/**
 * The file that the policy was loaded with, byte for byte if it names every token that ended a turn in training. A base model's file
 * names only the end of a text: readers would generate past the turns that the policy has learned to end.
 */
export function generationConfigOf(file: Buffer | undefined, chat: ChatTemplate): Buffer | string {
  const ends = endTokensOf(chat)
  if (!file) return formatJson({ do_sample: true, eos_token_id: oneOrMore(ends) })
  const json = decodeJsonObject(file, 'generation_config.json', 'ERR_POLICY_FOLDER')
  const named = [json.eos_token_id ?? []].flat() as number[]
  const missing = ends.filter((token) => !named.includes(token))
  return missing.length === 0 ? file : formatJson({ ...json, eos_token_id: [...named, ...missing] })
}

/** One token as a number, several as a list, as transformers writes them. */
export function oneOrMore(tokens: readonly number[]): number | readonly number[] {
  const [first, ...others] = tokens
  return first !== undefined && others.length === 0 ? first : tokens
}
