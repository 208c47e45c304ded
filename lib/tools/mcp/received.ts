// What servers send, before the SDK checks it: the SDK refuses a whole list for one odd tool, and a whole result for a null where the
// protocol has nothing.
import type { Transport } from '@modelcontextprotocol/client'
import { isRecord } from '../../core/is-record.js'

// Where in a tool's `_meta` its schemas stand as the server wrote them.
const asWritten = 'hdpo/as-written'

/** The schemas of a listed tool, as the server wrote them. */
export function schemasOf({ _meta }: { _meta?: Record<string, unknown> | undefined }): {
  inputSchema?: unknown
  outputSchema?: unknown
} {
  return _meta?.[asWritten] ?? {}
}

/** Passes every message through `readable` before whoever listens to the transport. */
export function withReadableMessages(transport: Transport): Transport {
  let listener: Transport['onmessage']
  Object.defineProperty(transport, 'onmessage', {
    configurable: true,
    get: () =>
      listener &&
      (((message, extra) => listener?.(readable(message), extra)) satisfies Transport['onmessage']),
    set(given: Transport['onmessage']) {
      listener = given
    },
  })
  return transport
}

function readable<Message>(message: Message): Message {
  const { result } = message as { result?: unknown }
  if (!isRecord(result)) return message
  if (Array.isArray(result.tools)) {
    return { ...message, result: { ...withoutNulls(result), tools: result.tools.flatMap(readableTool) } }
  }
  if (Array.isArray(result.content)) {
    return { ...message, result: { ...withoutNulls(result), content: result.content.map(readablePart) } }
  }
  return message
}

/** What the SDK needs of a tool; an entry without a name cannot be called, and is none. */
function readableTool(tool: unknown): object[] {
  if (!isRecord(tool) || typeof tool.name !== 'string' || tool.name === '') return []
  const { name, title, description, annotations, inputSchema, outputSchema } = tool
  const { properties } = isRecord(inputSchema) ? inputSchema : {}
  return [
    {
      name,
      ...(typeof title === 'string' && { title }),
      ...(typeof description === 'string' && { description }),
      ...(isRecord(annotations) && { annotations: hints(annotations) }),
      // The properties tell the SDK which arguments are sent as headers.
      inputSchema: { type: 'object', ...(isRecord(properties) && { properties }) },
      _meta: { [asWritten]: { inputSchema, outputSchema } },
    },
  ]
}

function hints(annotations: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(annotations).filter(([, value]) => typeof value === 'boolean'))
}

function readablePart(part: unknown): unknown {
  if (!isRecord(part)) return part
  const { resource } = part
  return withoutNulls(isRecord(resource) ? { ...part, resource: withoutNulls(resource) } : part)
}

function withoutNulls(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== null))
}
