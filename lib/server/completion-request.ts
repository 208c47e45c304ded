// The body of POST /v1/chat/completions, checked. A parameter that this server does not honour is refused by name, unless
// its value asks for what happens anyway.
import { inspect } from 'node:util'
import { z } from 'zod'
import { isRecord } from '../core/is-record.js'
import { ApiError, invalid } from '../http/api-error.js'
import { askedSamplingShape, type ResolvedSampling } from '../native/sampling-options.js'
import type { ToolDescription } from '../policy/types.js'
import { type ChatMessage, canonical, parseMessages } from './chat-message.js'

export interface CompletionRequest {
  model: string
  messages: ChatMessage[]
  tools: ToolDescription[]
  /** Tells tool lists apart: a history continues only under the tools that it began with. */
  toolsKey: string
  toolChoice: ToolChoice
  parallelCalls: boolean
  sampling: RequestedSampling
  stop: string[]
  choices: number
  stream: boolean
  includeUsage: boolean
  logprobs: boolean
  /** vLLM's extension: the response carries prompt_token_ids and, of each choice, token_ids. */
  returnTokenIds: boolean
  metadata: Record<string, string>
  /** What is accepted, because SDKs send it by default, and not honoured: the server warns of it. */
  notHonoured: string[]
}

type ToolChoice = 'auto' | 'none' | 'required' | { name: string }
export type RequestedSampling = Partial<
  Pick<ResolvedSampling, 'maxTokens' | 'temperature' | 'topP' | 'topK' | 'minP' | 'seed' | 'logitBias'>
>

const count = z.int().min(1)
const anything = z.unknown()
const schema = z.strictObject({
  model: z.string(),
  messages: anything,
  tools: z.array(anything).nullish(),
  tool_choice: anything.optional(),
  parallel_tool_calls: z.boolean().nullish(),
  temperature: askedSamplingShape.temperature.unwrap().max(100).nullish(),
  top_p: askedSamplingShape.topP.nullable(),
  top_k: z.int().min(-1).nullish(),
  min_p: askedSamplingShape.minP.nullable(),
  max_tokens: count.nullish(),
  max_completion_tokens: count.nullish(),
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(16)]).nullish(),
  seed: z.int().nullish(),
  n: count.max(128).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().nullish(), include_obfuscation: z.literal(false).nullish() })
    .nullish(),
  logprobs: z.boolean().nullish(),
  logit_bias: z.record(z.string(), z.number()).nullish(),
  return_token_ids: z.boolean().nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  // Values that ask for nothing.
  top_logprobs: z.literal(0).nullish(),
  frequency_penalty: z.literal(0).nullish(),
  presence_penalty: z.literal(0).nullish(),
  response_format: z.strictObject({ type: z.literal('text') }).nullish(),
  modalities: z.tuple([z.literal('text')]).nullish(),
  store: z.literal(false).nullish(),
  service_tier: z.enum(['auto', 'default']).nullish(),
  // Identify the caller, to whom nothing here depends on.
  user: z.string().nullish(),
  safety_identifier: z.string().nullish(),
  prompt_cache_key: z.string().nullish(),
})

const toolSchema = z.strictObject({
  type: z.literal('function'),
  function: z.strictObject({
    name: z.string().regex(/^[a-zA-Z0-9_.-]{1,64}$/, 'must be 1 to 64 of a-z, A-Z, 0-9, _, - and .'),
    description: z.string().nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish(),
    strict: z.boolean().nullish(),
  }),
})

export function parseCompletionRequest(body: unknown): CompletionRequest {
  const given = check(schema, body, '')
  const givenTools = (given.tools ?? []).map(
    (tool, index) => check(toolSchema, tool, `tools[${index}]`).function,
  )
  const tools = givenTools.map(toDescription)
  checkToolNames(tools)
  return {
    model: given.model,
    messages: parseMessages(given.messages),
    tools,
    toolsKey: JSON.stringify(canonical(tools)),
    toolChoice: parseToolChoice(given.tool_choice, tools),
    parallelCalls: given.parallel_tool_calls ?? true,
    sampling: parseSampling(given),
    stop: given.stop == null ? [] : [given.stop].flat(),
    choices: given.n ?? 1,
    stream: given.stream ?? false,
    includeUsage: given.stream_options?.include_usage ?? false,
    logprobs: given.logprobs ?? false,
    returnTokenIds: given.return_token_ids ?? false,
    metadata: given.metadata ?? {},
    notHonoured: givenTools.some(({ strict }) => strict === true) ? ['tools[].function.strict'] : [],
  }
}

function parseSampling(given: z.infer<typeof schema>): RequestedSampling {
  const maxTokens = given.max_completion_tokens ?? given.max_tokens
  return {
    ...(maxTokens != null && { maxTokens }),
    ...(given.temperature != null && { temperature: given.temperature }),
    ...(given.top_p != null && { topP: given.top_p }),
    // -1 and 0 both mean off, at vLLM and here.
    ...(given.top_k != null && { topK: Math.max(given.top_k, 0) }),
    ...(given.min_p != null && { minP: given.min_p }),
    // Negative seeds are legal there and not here; their bits serve as well.
    ...(given.seed != null && { seed: Number(BigInt.asUintN(53, BigInt(given.seed))) }),
    ...(given.logit_bias && { logitBias: parseLogitBias(given.logit_bias) }),
  }
}

function parseLogitBias(bias: Record<string, number>): Map<number, number> {
  return new Map(
    Object.entries(bias).map(([token, value]) => {
      const param = `logit_bias.${token}`
      if (!/^\d{1,9}$/.test(token)) throw invalid(param, 'must be the id of a token')
      if (!(Math.abs(value) <= 100)) throw invalid(param, `must be from -100 to 100, got ${value}`)
      // -100 bans a token, as OpenAI documents it.
      return [Number(token), value === -100 ? Number.NEGATIVE_INFINITY : value]
    }),
  )
}

function toDescription({
  name,
  description,
  parameters,
}: z.infer<typeof toolSchema>['function']): ToolDescription {
  return {
    name,
    description: description ?? '',
    parameters: parameters ?? { type: 'object', properties: {} },
  }
}

function checkToolNames(tools: readonly ToolDescription[]): void {
  const names = tools.map(({ name }) => name)
  const twice = names.findIndex((name, index) => names.indexOf(name) !== index)
  if (twice !== -1) throw invalid(`tools[${twice}].function.name`, `another tool is named "${names[twice]}"`)
}

function parseToolChoice(value: unknown, tools: readonly ToolDescription[]): ToolChoice {
  if (value == null) return tools.length > 0 ? 'auto' : 'none'
  if (value === 'none') return value
  if (value === 'auto') return tools.length > 0 ? value : 'none'
  if (tools.length === 0) throw invalid('tool_choice', 'needs tools, got none')
  if (value === 'required') return value
  const name = isRecord(value) && isRecord(value.function) ? value.function.name : undefined
  if (!isRecord(value) || value.type !== 'function' || typeof name !== 'string') {
    throw invalid(
      'tool_choice',
      `must be "auto", "none", "required" or { type: "function", function: { name } }, got ${JSON.stringify(value)}`,
    )
  }
  if (!tools.some((tool) => tool.name === name)) {
    const names = tools.map((tool) => tool.name).join(', ')
    throw invalid('tool_choice.function.name', `must be one of ${names}, got ${JSON.stringify(name)}`)
  }
  return { name }
}

/** `at` stands before the paths in errors. */
function check<Schema extends z.ZodType>(schema: Schema, value: unknown, at: string): z.infer<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const { code, path, message, keys } = result.error.issues[0] as z.core.$ZodIssue & { keys?: string[] }
  if (code === 'unrecognized_keys') {
    const param = pathText(at, [...path, keys?.[0] as string])
    throw new ApiError(400, `${param}: this server does not support it`, {
      param,
      code: 'unsupported_parameter',
    })
  }
  const given = path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  )
  const shown = inspect(given, { depth: 1, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 80 })
  const param = pathText(at, path) || 'body'
  const isUnsupported = code === 'invalid_value' && given !== undefined
  throw invalid(param, `${message}, got ${shown}`, isUnsupported ? 'unsupported_value' : 'invalid_value')
}

function pathText(at: string, path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    return text === '' ? String(key) : `${text}.${String(key)}`
  }, at)
}
