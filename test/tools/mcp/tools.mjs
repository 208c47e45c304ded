// The tools of the tests' MCP servers, made with the SDK that server authors use.
import { McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'

const text = (value) => ({ content: [{ type: 'text', text: String(value) }] })
const pixel =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

export function createServer() {
  const server = new McpServer({ name: 'test', version: '1.0.0' })
  server.registerTool(
    'add',
    {
      description: 'Adds two numbers',
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      annotations: { readOnlyHint: true },
    },
    async ({ a, b }) => text(a + b),
  )
  server.registerTool('pid', { description: 'Process id', inputSchema: z.object({}) }, async () =>
    text(process.pid),
  )
  server.registerTool('keys', { description: 'Environment', inputSchema: z.object({}) }, async () =>
    text(Object.keys(process.env).join(' ')),
  )
  server.registerTool('fail', { description: 'Fails', inputSchema: z.object({}) }, async () => {
    throw new Error('no such city')
  })
  server.registerTool('megabyte', { description: 'Much', inputSchema: z.object({}) }, async () =>
    text('x'.repeat(2 ** 20)),
  )
  server.registerTool(
    'picture',
    { description: 'A picture', inputSchema: z.object({ caption: z.string().optional() }) },
    async ({ caption }) => ({
      content: [
        ...(caption ? [{ type: 'text', text: caption }] : []),
        { type: 'image', data: pixel, mimeType: 'image/png' },
      ],
    }),
  )
  server.registerTool(
    'slow',
    { description: 'Takes its time', inputSchema: z.object({}) },
    async (_, { mcpReq }) => {
      await new Promise((resolve, reject) => {
        setTimeout(resolve, 60_000).unref()
        mcpReq.signal.addEventListener('abort', () => reject(new Error('cancelled')))
      })
      return text('late')
    },
  )
  server.registerTool('die', { description: 'Ends the server', inputSchema: z.object({}) }, async () =>
    process.exit(1),
  )
  server.registerTool(
    'data',
    { description: 'Structured', inputSchema: z.object({}), outputSchema: z.object({ celsius: z.number() }) },
    async () => ({ content: [], structuredContent: { celsius: 21 } }),
  )
  return server
}
