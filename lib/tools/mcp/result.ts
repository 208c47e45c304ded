// Converts the result of an MCP call to a tool result.
import type { CallToolResult } from '@modelcontextprotocol/client'
import { refuseRounded } from '../../core/exact-json.js'
import { type ToolImage, ToolOutput } from '../tool-output.js'

type Content = CallToolResult['content'][number]

/** Throws with the tool's own text where the result is an error. */
export function fromMcpResult({
  content = [],
  structuredContent,
  isError,
}: CallToolResult): string | ToolOutput {
  const text = textOf(content, structuredContent)
  if (isError) throw new Error(text || 'the tool reported an error without saying which')
  const images = content.flatMap((part) => (part.type === 'image' ? [imageOf(part)] : []))
  return images.length > 0 ? new ToolOutput({ text, images }) : text
}

/** The text of a result, or its structured content where there is none. Servers are asked to send that as text as well. */
function textOf(content: readonly Content[], structuredContent: unknown): string {
  const text = content.flatMap((part) => describe(part) ?? []).join('\n')
  if (text !== '' || structuredContent === undefined) return text
  // The SDK has parsed it, so that an order's number beyond 2^53 is another's by now.
  refuseRounded(structuredContent, 'structuredContent')
  return JSON.stringify(structuredContent)
}

function describe(part: Content): string | undefined {
  switch (part.type) {
    case 'text':
      return part.text
    case 'resource':
      return 'text' in part.resource ? part.resource.text : `[${part.resource.uri}: not text]`
    case 'resource_link':
      return `${part.name}: ${part.uri}`
    case 'audio':
      return '[audio left out: the policy reads text only]'
    default:
      return undefined
  }
}

function imageOf({ data, mimeType }: Extract<Content, { type: 'image' }>): ToolImage {
  return { data: Buffer.from(data, 'base64'), mediaType: mimeType }
}
