// What decides which tokens a conversation becomes, and where a turn ends.
import { shortHash } from '../core/function-identity.js'
import { endTokensOf } from './chat-template.js'
import type { PolicyParts } from './save-policy.js'

/** Compared when a run is resumed. */
export function textIdentity({ tokenizerFiles, template, chat }: PolicyParts): Record<string, unknown> {
  const { tokenizer, config = {} } = tokenizerFiles
  // The template is compared by itself.
  const { chat_template: _, ...settings } = config
  const { template: source, toolTemplate, variables = {} } = template
  return {
    tokenizer: shortHash(JSON.stringify([tokenizer, settings])),
    template: {
      source: shortHash(JSON.stringify([source, toolTemplate ?? null])),
      variables,
      toolFormat: chat.toolFormat,
      endTokens: endTokensOf(chat),
      beginOfText: template.beginOfText,
      endOfText: template.endOfText,
    },
  }
}
