// Reads conversations for supervised training from files: hdpo's own format, OpenAI's, OpenTelemetry exports.

import { extname } from 'node:path'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { isRecord } from '../core/is-record.js'
import { describeMistake, type OptionMistake } from '../core/option-error.js'
import { path as anyPath, signal as signalOption } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { readText } from '../core/text-file.js'
import { readMessages } from '../policy/messages/read-messages.js'
import { readTools } from '../policy/messages/read-tools.js'
import { parseJsonLine } from '../tasks/json-line.js'
import { readRows } from '../tasks/rows.js'
import { type ImportedConversation, importShape, UnusableTrace } from './conversation.js'
import { fromOpenAi } from './openai.js'
import { fromOtlp, isOtlp } from './otlp.js'

export const conversationFormats = ['auto', 'hdpo', 'openai', 'otlp'] as const
export type ConversationFormat = (typeof conversationFormats)[number]

export const readConversationsShape = {
  ...importShape,
  /**
   * 'hdpo': { messages, tools? } as they are, with toolCalls. 'auto': OTLP if there are resourceSpans, OpenAI's if a message has
   * tool_calls, a weight, a thought of its own or content in parts, or tools are in OpenAI's wrapper or JSON text; hdpo's
   * if a message has toolCalls or says what is trained. A row that shows neither is taken as the others of the file, hdpo's if none of
   * them is OpenAI's. Default 'auto'.
   */
  format: z.enum(conversationFormats).default('auto'),
  /** Aborting ends the reading: the promise rejects with the signal's reason. */
  signal: signalOption.optional(),
}
const readConversationsOptions = z.strictObject(readConversationsShape)
export interface ReadConversationsOptions extends OptionsOf<typeof readConversationsShape> {}

export interface ReadConversations {
  conversations: ImportedConversation[]
  /** What cannot be trained on, lines that are no JSON among them: where it is, and why. */
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
  const rows: PlacedValue[] = []
  const skip = (where: string, reason: string) => void result.skipped.push({ where, reason })
  for await (const { value, where } of readValues(path, signal, skip)) rows.push({ value, where })
  const kinds = rows.map(({ value }) => (format === 'auto' ? formatOf(value) : format))
  const unmarked = kinds.includes('openai') ? 'openai' : 'hdpo'
  const exports: unknown[] = []
  for (const [index, { value, where }] of rows.entries()) {
    const kind = kinds[index] ?? unmarked
    if (kind === 'otlp') exports.push(value)
    else if (kind === 'hdpo') readOne(where, result, () => ownConversation(value, where))
    else readOne(where, result, () => ({ ...fromOpenAi(value, options), source: where }))
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

interface PlacedValue {
  value: unknown
  /** For errors: 'data.jsonl:7'. */
  where: string
}

async function* readValues(
  path: string,
  signal: AbortSignal | undefined,
  onBadLine: (where: string, reason: string) => void,
): AsyncGenerator<PlacedValue> {
  if (extname(path) !== '.json') return yield* readRows(path, { signal, numbers: 'text', onBadLine })
  const value = parseJsonLine(await readText(path, 'ERR_DATA'), path, 'text')
  if (!Array.isArray(value)) return yield { value, where: path }
  for (const [index, item] of value.entries()) yield { value: item, where: `${path}[${index}]` }
}

/** Undefined where nothing shows which format it is. */
function formatOf(value: unknown): Exclude<ConversationFormat, 'auto'> | undefined {
  if (isOtlp(value)) return 'otlp'
  if (!isRecord(value)) return undefined
  const messages = Array.isArray(value.messages) ? value.messages.filter(isRecord) : []
  const has = (keys: readonly string[]) =>
    messages.some((message) => keys.some((key) => message[key] != null))
  if (has(ownKeys)) return 'hdpo'
  const { tools } = value
  const foreignTools =
    value.functions != null ||
    typeof tools === 'string' ||
    (Array.isArray(tools) && tools.some((tool) => !isRecord(tool) || tool.function !== undefined))
  const foreign =
    foreignTools ||
    has(foreignKeys) ||
    messages.some(
      ({ role, content }) => role === 'developer' || role === 'function' || Array.isArray(content),
    )
  return foreign ? 'openai' : undefined
}

const ownKeys = ['toolCalls', 'callId', 'trained', 'thought']
const foreignKeys = [
  'tool_calls',
  'tool_call_id',
  'function_call',
  'weight',
  'reasoning_content',
  'reasoning',
  'reasoning_details',
]

function ownConversation(value: unknown, source: string): ImportedConversation {
  const fail = (mistake: OptionMistake): never => {
    throw new UnusableTrace(describeMistake(mistake))
  }
  if (!isRecord(value)) return fail({ option: 'a conversation', expected: 'an object', given: value })
  const tools = readTools(value.tools, 'tools', fail)
  const messages = readMessages(value.messages, { fail, ...(tools && { tools }) })
  return { messages, ...(tools && { tools }), source }
}

function readOne(where: string, result: ReadConversations, read: () => ImportedConversation): void {
  try {
    result.conversations.push(read())
  } catch (error) {
    if (!(error instanceof UnusableTrace)) throw error
    result.skipped.push({ where, reason: error.message })
  }
}
