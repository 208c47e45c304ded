// Where an MCP server is, and how to open a transport to it.
import { StreamableHTTPClientTransport, type Transport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { patientFetch } from '../../http/patient-fetch.js'
import type { McpEndpoint, McpProgram } from './options.js'
import { withReadableMessages } from './received.js'

interface OpenTransport {
  transport: Transport
  /** The last lines that the program wrote to standard error. */
  complaints(): string
}

const keptComplaints = 2000

/** Opens a transport; a message longer than `maxBytes` ends the connection. */
export function openTransport(address: McpProgram | McpEndpoint, maxBytes: number): OpenTransport {
  const opened = 'command' in address ? overStdio(address, maxBytes) : overHttp(address, maxBytes)
  return { ...opened, transport: withReadableMessages(opened.transport) }
}

/** The server's name in errors, without headers, because they may hold keys. */
export function addressName(address: McpProgram | McpEndpoint): string {
  if ('command' in address) return [address.command, ...(address.args ?? [])].join(' ')
  const { origin, pathname } = new URL(address.url)
  return origin + pathname
}

function overStdio({ command, args = [], env, cwd }: McpProgram, maxBufferSize: number): OpenTransport {
  const transport = new StdioClientTransport({
    command,
    args,
    ...(env && { env }),
    ...(cwd !== undefined && { cwd }),
    stderr: 'pipe',
    maxBufferSize,
  })
  let complaints = ''
  transport.stderr?.on('data', (chunk: Buffer) => {
    complaints = (complaints + chunk.toString()).slice(-keptComplaints)
  })
  return { transport, complaints: () => complaints.trim() }
}

function overHttp({ url, headers }: McpEndpoint, maxBytes: number): OpenTransport {
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    ...(headers && { requestInit: { headers } }),
    fetch: async (input, init) => bounded(await patientFetch(input, init), init?.method ?? 'GET', maxBytes),
  })
  return { transport, complaints: () => '' }
}

/** Limits the size of a response. Only a POST's body is one answer; the stream of a GET lasts as long as the session. */
function bounded(response: Response, method: string, maxBytes: number): Response {
  if (method !== 'POST' || !response.body) return response
  let received = 0
  const counted = response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        received += chunk.byteLength
        if (received > maxBytes) controller.error(new Error(`the answer has more than ${maxBytes} bytes`))
        else controller.enqueue(chunk)
      },
    }),
  )
  const { status, statusText, headers } = response
  return new Response(counted, { status, statusText, headers })
}
