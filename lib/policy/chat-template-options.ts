// What a chat template is made of.
import { z } from 'zod'
import { text } from '../core/option-kinds.js'
import type { OptionsOf } from '../core/options.js'
import { toolFormats } from './calls/formats.js'

export const chatTemplateShape = {
  /** Jinja source, as in tokenizer_config.json's chat_template. */
  template: z.string(),
  /** Used instead of `template` for conversations with tools. */
  toolTemplate: z.string().optional(),
  /** The token that ends a turn, e.g. '<|im_end|>'. Default: the one that the template writes after an assistant's content. */
  endOfTurn: text.optional(),
  /** What the template reads as eos_token; it ends turns where the template writes no token after one. Default: endOfTurn. */
  endOfText: z.string().optional(),
  /** What the template reads as bos_token. Default: empty. */
  beginOfText: z.string().optional(),
  /** Ids of more tokens that end a turn, as in generation_config.json's eos_token_id. */
  endTokens: z.array(z.int().min(0)).optional(),
  /** How calls are written. Default: as the template writes them; as Hermes does where it writes none. */
  toolFormat: z.enum(toolFormats).optional(),
  /** More variables of the template, e.g. { enable_thinking: false } or { date_string: '26 Jul 2024' }. */
  variables: z.record(z.string(), z.unknown()).optional(),
}
export const chatTemplateOptions = z.strictObject(chatTemplateShape)
export interface ChatTemplateSource extends OptionsOf<typeof chatTemplateShape> {}
