// Checks the body of POST /v1/chat/completions. A parameter that this server does not support is refused by name, unless its
// value asks for the default behaviour.
import { z } from 'zod'
import { isRecord } from '../core/is-record.js'
import { invalid } from '../http/api-error.js'
import { askedSamplingShape, type ResolvedSampling } from '../native/sampling-options.js'
import { checkNesting } from '../policy/messages/message-reading.js'
import type { ToolDescription } from '../policy/types.js'
import { type ChatMessage, canonical, parseMessages, refuse } from './chat-message.js'
import { checkBody } from './check-body.js'

export interface CompletionRequest {
  model: string
  messages: ChatMessage[]
  tools: ToolDescription[]
  /** Identifies the list of tools: a history continues only with the tools that it began with. */
  toolsKey: string
  toolChoice: ToolChoice
  parallelCalls: boolean
  sampling: RequestedSampling
  stop: string[]
  choices: number
  stream: boolean
  includeUsage: boolean
  logprobs: boolean
  /** vLLM's extension: the response carries prompt_token_ids, and token_ids per choice. */
  returnTokenIds: boolean
  metadata: Record<string, string>
  /** Parameters that are accepted, because SDKs send them by default, but have no effect: the server warns of them. */
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
  top_k: z
    .int()
    .min(-1)
    .max(2 ** 30)
    .nullish(),
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
  // Accepted only with the values that change nothing.
  top_logprobs: z.literal(0).nullish(),
  frequency_penalty: z.literal(0).nullish(),
  presence_penalty: z.literal(0).nullish(),
  response_format: z.strictObject({ type: z.literal('text') }).nullish(),
  modalities: z.tuple([z.literal('text')]).nullish(),
  store: z.literal(false).nullish(),
  service_tier: z.enum(['auto', 'default']).nullish(),
  // These identify the caller; they have no effect here.
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
  const given = checkBody(schema, body)
  const givenTools = (given.tools ?? []).map(
    (tool, index) => checkBody(toolSchema, tool, `tools[${index}]`).function,
  )
  const tools = givenTools.map(toDescription)
  for (const [index, { parameters }] of tools.entries()) {
    checkNesting(parameters, `tools[${index}].function.parameters`, refuse)
  }
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
    // -1 and 0 both turn top-k off, in vLLM and here.
    ...(given.top_k != null && { topK: Math.max(given.top_k, 0) }),
    ...(given.min_p != null && { minP: given.min_p }),
    // OpenAI allows negative seeds, hdpo does not: the seed's low 53 bits are used.
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
      // -100 bans a token, as OpenAI's documentation says.
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
