// Reads conversations for supervised training from files: hdpo's own format, OpenAI's, OpenTelemetry exports.

import { extname } from 'node:path'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { isRecord } from '../core/is-record.js'
import { path as anyPath, signal as signalOption } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { readText } from '../core/text-file.js'
import type { Message } from '../policy/types.js'
import { parseJsonLine } from '../tasks/json-line.js'
import { readRows } from '../tasks/rows.js'
import { type ImportedConversation, type ImportOptions, importShape, UnusableTrace } from './conversation.js'
import { fromOpenAi } from './openai.js'
import { fromOtlp, isOtlp } from './otlp.js'

export const conversationFormats = ['auto', 'hdpo', 'openai', 'otlp'] as const
export type ConversationFormat = (typeof conversationFormats)[number]

export const readConversationsShape = {
  ...importShape,
  /**
   * 'hdpo': { messages } as they are, with toolCalls. 'auto': OTLP if there are resourceSpans, OpenAI's if a message has
   * tool_calls, a tool_call_id or content in parts, else hdpo's. Default 'auto'.
   */
  format: z.enum(conversationFormats).default('auto'),
  /** Aborting ends the reading: the promise rejects with the signal's reason. */
  signal: signalOption.optional(),
}
const readConversationsOptions = z.strictObject(readConversationsShape)
export interface ReadConversationsOptions extends OptionsOf<typeof readConversationsShape> {}

export interface ReadConversations {
  conversations: ImportedConversation[]
  /** Imported conversations that cannot be trained on: where they are, and why. Those in hdpo's own format throw instead. */
  skipped: { where: string; reason: string }[]
}

/** Reads a .jsonl, .ndjson, .parquet or .json file (an OTLP export, or a list), or a folder of the first three. */
export async function readConversations(
  path: string,
  given: ReadConversationsOptions = {},
): Promise<ReadConversations> {
  readOptions(anyPath, path, 'path')
  const { format, signal, ...options } = readOptions(readConversationsOptions, given, 'readConversations')
  const result: ReadConversations = { conversations: [], skipped: [] }
  const exports: unknown[] = []
  for await (const { value, where } of readValues(path, signal)) {
    const kind = format === 'auto' ? formatOf(value) : format
    if (kind === 'otlp') exports.push(value)
    else if (kind === 'hdpo') result.conversations.push(ownConversation(value, where))
    else importOne(value, where, options, result)
  }
  if (exports.length > 0) {
    const { conversations, skipped } = fromOtlp(exports, options)
    result.conversations.push(...conversations)
    result.skipped.push(...skipped.map(({ span, reason }) => ({ where: `${path}, ${span}`, reason })))
  }
  if (result.conversations.length === 0) {
    const [first] = result.skipped
    const why = first
      ? `; ${result.skipped.length} cannot be used, the first (${first.where}): ${first.reason}`
      : ''
    throw new HdpoError('ERR_DATA', `${path}: has no conversation to train on${why}`)
  }
  return result
}

async function* readValues(
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ value: unknown; where: string }> {
  if (extname(path) !== '.json') return yield* readRows(path, { signal, numbers: 'text' })
  const value = parseJsonLine(await readText(path, 'ERR_DATA'), path, 'text')
  if (!Array.isArray(value)) return yield { value, where: path }
  for (const [index, item] of value.entries()) yield { value: item, where: `${path}[${index}]` }
}

function formatOf(value: unknown): Exclude<ConversationFormat, 'auto'> {
  if (isOtlp(value)) return 'otlp'
  const messages = isRecord(value) && Array.isArray(value.messages) ? value.messages.filter(isRecord) : []
  const foreign = messages.some(
    ({ role, content, tool_calls: calls, tool_call_id: id, function_call: call }) =>
      calls !== undefined ||
      id !== undefined ||
      call !== undefined ||
      role === 'developer' ||
      role === 'function' ||
      Array.isArray(content),
  )
  return foreign ? 'openai' : 'hdpo'
}

function ownConversation(value: unknown, where: string): ImportedConversation {
  if (!isRecord(value))
    throw new HdpoError('ERR_DATA', `${where}: must be an object, got ${JSON.stringify(value)}`)
  if (!Array.isArray(value.messages)) throw new HdpoError('ERR_DATA', `${where}: messages must be a list`)
  const tools = Array.isArray(value.tools)
    ? (value.tools as NonNullable<ImportedConversation['tools']>)
    : undefined
  return { messages: value.messages as Message[], ...(tools && { tools }) }
}

function importOne(value: unknown, where: string, options: ImportOptions, result: ReadConversations): void {
  try {
    result.conversations.push(fromOpenAi(value, options))
  } catch (error) {
    if (!(error instanceof UnusableTrace)) throw error
    result.skipped.push({ where, reason: error.message })
  }
}
