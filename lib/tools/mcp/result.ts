// Converts the result of an MCP call to a tool result.
import type { CallToolResult } from '@modelcontextprotocol/client'
import { refuseRounded } from '../../core/exact-json.js'
import { isRecord } from '../../core/is-record.js'
import { type ToolImage, ToolOutput } from '../tool-output.js'

type Content = CallToolResult['content'][number]
type Resource = Extract<Content, { type: 'resource' }>['resource']

/** Throws with the tool's own text where the result is an error. */
export function fromMcpResult({
  content = [],
  structuredContent,
  isError,
}: CallToolResult): string | ToolOutput {
  const text = textOf(content, structuredContent)
  if (isError) throw new Error(text || 'the tool reported an error without saying which')
  const images = content.flatMap(imagesOf)
  return images.length > 0 ? new ToolOutput({ text, images }) : text
}

/** The text of a result, or its structured content where there is none. Servers are asked to send that as text as well. */
function textOf(content: readonly Content[], structuredContent: unknown): string {
  const text = content.flatMap((part) => describe(part) ?? []).join('\n')
  if (text !== '' || structuredContent === undefined) return text
  const readable = withoutMedia(structuredContent, new Set(content.flatMap(dataOf)))
  if (readable === undefined) return ''
  // The SDK has parsed it, so that an order's number beyond 2^53 is another's by now.
  refuseRounded(readable, 'structuredContent')
  return JSON.stringify(readable)
}

function describe(part: Content): string | undefined {
  switch (part.type) {
    case 'text':
      return part.text
    case 'resource':
      return describeResource(part.resource)
    case 'resource_link':
      return `${part.name}: ${part.uri}`
    case 'audio':
      return '[audio left out: the policy reads text only]'
    default:
      return undefined
  }
}

function describeResource(resource: Resource): string | undefined {
  if ('text' in resource) return resource.text
  const { uri, mimeType, blob } = resource
  if (isImage(mimeType)) return undefined
  const bytes = Buffer.from(blob, 'base64')
  return (
    decodedText(bytes, mimeType) ?? `[${uri}: ${mimeType ?? 'not text'}, ${bytes.length} bytes, left out]`
  )
}

/** Undefined where the media type is none of text, or the bytes are not text in its character set. */
function decodedText(bytes: Uint8Array, mediaType = ''): string | undefined {
  const [type = '', ...parameters] = mediaType.toLowerCase().split(';')
  if (!textTypes.test(type.trim())) return undefined
  const charset = parameters.map((each) => /^\s*charset\s*=\s*"?([^"\s]+)/.exec(each)?.[1]).find(Boolean)
  try {
    return new TextDecoder(charset ?? 'utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    // A character set that nobody knows, or bytes that are not of it.
    if (error instanceof RangeError || error instanceof TypeError) return undefined
    throw error
  }
}
const textTypes =
  /^(text\/.+|application\/(json|xml|yaml|x-yaml|toml|javascript|ecmascript|typescript|sql|x-sh|x-ndjson|jsonl|csv|graphql|x-www-form-urlencoded)|[^/]+\/[^/]+\+(json|xml|yaml))$/

function isImage(mediaType: string | undefined): boolean {
  return /^image\/(?!svg\+xml)/i.test(mediaType ?? '')
}

function imagesOf(part: Content): ToolImage[] {
  if (part.type === 'image') return [imageOf(part.data, part.mimeType)]
  if (part.type !== 'resource' || 'text' in part.resource || !isImage(part.resource.mimeType)) return []
  return [imageOf(part.resource.blob, part.resource.mimeType as string)]
}

function imageOf(data: string, mediaType: string): ToolImage {
  return { data: Buffer.from(data, 'base64'), mediaType }
}

/** The base64 of a part that is not text. */
function dataOf(part: Content): string[] {
  if (part.type === 'image' || part.type === 'audio') return [part.data]
  return part.type === 'resource' && 'blob' in part.resource ? [part.resource.blob] : []
}

/**
 * Structured content without the images, sounds and files in it, which as base64 would be read as text: parts of MCP's kinds, `data`
 * of the result's own parts, and data URLs. Undefined where nothing else was in it.
 */
function withoutMedia(value: unknown, data: ReadonlySet<string>): unknown {
  if (typeof value === 'string') return data.has(value) || isMediaUrl(value) ? undefined : value
  if (Array.isArray(value)) {
    const kept = value.map((item) => withoutMedia(item, data)).filter((item) => item !== undefined)
    return kept.length === 0 && value.length > 0 ? undefined : kept
  }
  if (!isRecord(value)) return value
  if (isMediaPart(value)) return undefined
  const kept = Object.entries(value).flatMap(([key, inner]) => {
    const readable = withoutMedia(inner, data)
    return readable === undefined ? [] : [[key, readable]]
  })
  return kept.length === 0 && Object.keys(value).length > 0 ? undefined : Object.fromEntries(kept)
}

function isMediaPart({ type, data, blob }: Record<string, unknown>): boolean {
  return ((type === 'image' || type === 'audio') && typeof data === 'string') || typeof blob === 'string'
}

function isMediaUrl(text: string): boolean {
  const [, type] = /^data:([^,]{1,200});base64,/.exec(text) ?? []
  return type !== undefined && decodedText(new Uint8Array(), type) === undefined
}
