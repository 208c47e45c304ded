// The chat template of a Hugging Face folder. Newer ones keep it in chat_template.jinja, older ones in tokenizer_config.json: as
// one text, or as a list of named templates, in which "tool_use" is for conversations with tools.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { HdpoError } from '../core/errors.js'
import { readTextSync } from '../core/text-file.js'
import type { ChatTemplateSource } from './chat-template.js'

type Json = Record<string, unknown>

export interface TemplateFolder {
  path: string
  tokenizerConfig: Json
  generationConfig: Json | undefined
  /** The end tokens that config.json of the model names. */
  modelEndTokens?: readonly number[]
}

export function readTemplateSource(folder: TemplateFolder): ChatTemplateSource {
  const { tokenizerConfig: config } = folder
  const templates = jinjaFiles(folder.path) ?? namedTemplates(config.chat_template)
  if (!templates) {
    throw new HdpoError(
      'ERR_POLICY_FOLDER',
      `${folder.path} has no chat template: neither chat_template.jinja nor "chat_template" in tokenizer_config.json. ` +
        'A base model has none: take the instruction-tuned one, or copy its template',
    )
  }
  const eos = tokenText(config.eos_token)
  const bos = tokenText(config.bos_token)
  const ids = [...new Set([...endTokenIds(folder.generationConfig), ...(folder.modelEndTokens ?? [])])]
  return {
    ...templates,
    ...(eos !== undefined && { endOfText: eos }),
    ...(bos !== undefined && { beginOfText: bos }),
    ...(ids.length > 0 && { endTokens: ids }),
  }
}

/** What config.json or generation_config.json names as the ends of a text: one id, or several. */
export function endTokenIds(json: Json | undefined): number[] {
  return [json?.eos_token_id ?? []].flat().filter((id) => typeof id === 'number')
}

/** The text of a special token, which transformers writes as text or as a mapping with the text as "content". */
function tokenText(token: unknown): string | undefined {
  const text = typeof token === 'object' && token !== null ? (token as Json).content : token
  return typeof text === 'string' ? text : undefined
}

function jinjaFiles(folder: string): Pick<ChatTemplateSource, 'template' | 'toolTemplate'> | undefined {
  const path = join(folder, 'chat_template.jinja')
  if (!existsSync(path)) return undefined
  const tools = join(folder, 'additional_chat_templates', 'tool_use.jinja')
  return {
    template: readTextSync(path, 'ERR_POLICY_FOLDER'),
    ...(existsSync(tools) && { toolTemplate: readTextSync(tools, 'ERR_POLICY_FOLDER') }),
  }
}

export function namedTemplates(
  value: unknown,
): Pick<ChatTemplateSource, 'template' | 'toolTemplate'> | undefined {
  if (typeof value === 'string') return { template: value }
  if (!Array.isArray(value)) return undefined
  const named = new Map(
    (value as { name?: string; template?: string }[]).map(({ name, template }) => [name, template]),
  )
  const tools = named.get('tool_use')
  const template = named.get('default') ?? tools
  if (template === undefined) {
    throw new HdpoError(
      'ERR_CHAT_TEMPLATE',
      `tokenizer_config.json: of the templates in "chat_template" one must be named "default" or "tool_use"; got ` +
        [...named.keys()].map((name) => JSON.stringify(name)).join(', '),
    )
  }
  return { template, ...(tools !== undefined && { toolTemplate: tools }) }
}
