// Offers tools of the Vercel AI SDK as tools of a rollout. The SDK is not imported: its tools are plain objects, and the fields
// used here have been the same since version 5.
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { Described, InvalidOptionError } from '../core/option-error.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { toAiSdkMessages } from './ai-sdk-messages.js'
import { type InputSchema, resolveInputSchema } from './input-schema.js'
import { ToolInputError } from './tool-input-error.js'
import { type ToolImage, ToolOutput } from './tool-output.js'
import type { Tool } from './types.js'

/** The fields of an AI SDK tool that are used; `tool()`, `dynamicTool()` and the tools of its MCP client have them. */
export interface AiSdkTool {
  description?: string | undefined
  inputSchema?: unknown
  // biome-ignore lint/suspicious/noExplicitAny: the SDK ties these types together, a set of tools has none in common
  execute?: ((input: any, options: any) => unknown) | undefined
  // biome-ignore lint/suspicious/noExplicitAny: as above
  toModelOutput?: ((options: any) => unknown) | undefined
  needsApproval?: unknown
  type?: string | undefined
}

export const aiSdkShape = {
  /** Passed to the tools as `experimental_context`. */
  context: z.unknown().optional(),
}
const aiSdkOptions = z.strictObject(aiSdkShape)
export interface AiSdkOptions extends OptionsOf<typeof aiSdkShape> {}

/** The SDK's Schema, as jsonSchema() makes it. */
interface AiSdkSchema {
  jsonSchema: unknown
  validate?: (value: unknown) => unknown
}

type Validation = { success: true; value: unknown } | { success: false; error: Error }

interface Input extends InputSchema<unknown> {
  /** The schema's own validation, which may be asynchronous. */
  check?: (value: unknown) => unknown
}

/**
 * The keys become the tools' names. Rejects, naming the tool, where a tool has no `execute`, needs approval, is run by a
 * provider, or has an input without JSON Schema. Tools get the conversation before the call as `messages`.
 */
export async function fromAiSdk(
  tools: Record<string, AiSdkTool>,
  options: AiSdkOptions = {},
): Promise<Tool[]> {
  if (typeof tools !== 'object' || tools === null || Array.isArray(tools)) {
    throw new InvalidOptionError('fromAiSdk.tools', 'an object of tools, each under its name', tools)
  }
  const { context } = readOptions(aiSdkOptions, options, 'fromAiSdk')
  return Promise.all(Object.entries(tools).map(([name, tool]) => convert(name, tool, context)))
}

async function convert(name: string, tool: AiSdkTool, context: unknown): Promise<Tool> {
  const { execute, toModelOutput, description } = tool
  checkRuns(name, tool)
  const { check, ...input } = await inputOf(name, tool.inputSchema)
  return {
    name: checkName(name),
    description: description || name,
    ...input,
    async run(given, { signal, messages = [] }) {
      const value = check ? await passes(check, given) : given
      const toolCallId = randomUUID()
      const result = execute?.(value, {
        toolCallId,
        messages: toAiSdkMessages(messages),
        abortSignal: signal,
        experimental_context: context,
      })
      const output = await lastOf(result)
      return toModelOutput
        ? fromModelOutput(await toModelOutput({ toolCallId, input: value, output }))
        : output
    },
  }
}

function checkRuns(name: string, { execute, needsApproval, type }: AiSdkTool): void {
  const because = (problem: string) => new HdpoError('ERR_AI_SDK_TOOL', `AI SDK tool "${name}": ${problem}`)
  if (type?.startsWith('provider'))
    throw because('is run by a model provider, so a policy here cannot call it')
  if (typeof execute !== 'function') throw because('has no execute function')
  if (needsApproval) throw because('needs approval, which nobody gives in training; leave needsApproval out')
}

function checkName(name: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(name)) return name
  throw new HdpoError(
    'ERR_AI_SDK_TOOL',
    `AI SDK tool "${name}": its name must be 1 to 64 letters, digits, "_" or "-"`,
  )
}

async function inputOf(name: string, schema: unknown): Promise<Input> {
  try {
    return await resolve(typeof schema === 'function' && !('~standard' in schema) ? schema() : schema)
  } catch (error) {
    throw new HdpoError('ERR_AI_SDK_TOOL', `AI SDK tool "${name}": ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** Accepts zod, the SDK's jsonSchema(), or a standard schema that can give its JSON Schema. */
async function resolve(schema: unknown): Promise<Input> {
  if (schema === undefined) return foreign({ type: 'object', properties: {}, additionalProperties: false })
  if (isAiSdkSchema(schema)) {
    return { ...foreign(await schema.jsonSchema), ...(schema.validate && { check: schema.validate }) }
  }
  const standard = standardOf(schema)
  if (!standard || standard.vendor === 'zod') return resolveInputSchema(schema)
  if (!standard.jsonSchema) {
    const given = new Described(`one of ${standard.vendor} without it`)
    throw new InvalidOptionError('inputSchema', 'a schema that gives its JSON Schema', given)
  }
  const check = async (value: unknown): Promise<Validation> => {
    const { value: parsed, issues } = await standard.validate(value)
    return issues
      ? { success: false, error: new Error(issues.map(({ message }) => message).join('; ')) }
      : { success: true, value: parsed }
  }
  return { ...foreign(standard.jsonSchema.input({ target: 'draft-07' })), check }
}

function foreign(schema: unknown): InputSchema<unknown> {
  return resolveInputSchema(schema, { foreign: true })
}

function isAiSdkSchema(schema: unknown): schema is AiSdkSchema {
  return typeof schema === 'object' && schema !== null && 'jsonSchema' in schema && !('~standard' in schema)
}

interface StandardSchema {
  vendor: string
  validate(value: unknown): Promise<{ value?: unknown; issues?: readonly { message: string }[] }>
  jsonSchema?: { input(options: { target: string }): unknown }
}

function standardOf(schema: unknown): StandardSchema | undefined {
  const isObject = (typeof schema === 'object' && schema !== null) || typeof schema === 'function'
  return isObject ? (schema as { '~standard'?: StandardSchema })['~standard'] : undefined
}

async function passes(check: NonNullable<Input['check']>, given: unknown): Promise<unknown> {
  const checked = (await check(given)) as Validation
  if (checked.success) return checked.value
  throw new ToolInputError(checked.error.message, { cause: checked.error })
}

/** A tool may yield preliminary results; the last one is the result. */
async function lastOf(result: unknown): Promise<unknown> {
  if (typeof result !== 'object' || result === null || !(Symbol.asyncIterator in result)) return result
  let last: unknown
  for await (const output of result as AsyncIterable<unknown>) last = output
  return last
}

interface ModelOutput {
  type: string
  value?: unknown
  reason?: string
}

interface ContentPart {
  type: string
  text?: string
  data?: string
  mediaType?: string
}

/** The result that toModelOutput hands to a model. */
function fromModelOutput(output: unknown): unknown {
  const { type, value, reason } = output as ModelOutput
  switch (type) {
    case 'text':
    case 'json':
      return value
    case 'content':
      return fromContent(value as ContentPart[])
    case 'error-text':
      throw new Error(String(value))
    case 'error-json':
      throw new Error(JSON.stringify(value))
    case 'execution-denied':
      throw new Error(reason ?? 'denied')
    default:
      throw new HdpoError(
        'ERR_AI_SDK_TOOL',
        `toModelOutput returned type ${JSON.stringify(type)}, which is not known`,
      )
  }
}

function fromContent(parts: readonly ContentPart[]): string | ToolOutput {
  const text = parts
    .map(describePart)
    .filter((part) => part !== undefined)
    .join('\n')
  const images = parts.filter(isImage).map(
    ({ data = '', mediaType = '' }): ToolImage => ({
      data: Buffer.from(data, 'base64'),
      mediaType,
    }),
  )
  return images.length > 0 ? new ToolOutput({ text, images }) : text
}

function describePart(part: ContentPart): string | undefined {
  if (part.type === 'text') return part.text ?? ''
  return isImage(part) ? undefined : `[${part.mediaType ?? part.type} left out: the policy reads text only]`
}

function isImage({ data, mediaType }: ContentPart): boolean {
  return typeof data === 'string' && mediaType?.startsWith('image/') === true
}
