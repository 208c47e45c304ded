// The shop as an MCP server, as its owner wrote it: nothing of hdpo.
import { McpServer } from '@modelcontextprotocol/server'
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio'
import { z } from 'zod'
import { priceOf, stockOf } from '../shop/shop.js'

const inputSchema = z.object({ item: z.string() })
const text = (value: string | undefined) => ({
  content: [{ type: 'text' as const, text: value ?? 'no such item' }],
})

const server = new McpServer({ name: 'shop', version: '1.0.0' })
server.registerTool('price', { description: 'Price of an item', inputSchema }, async ({ item }) =>
  text(priceOf(item)),
)
server.registerTool(
  'stock',
  { description: 'How many of an item there are', inputSchema },
  async ({ item }) => text(stockOf(item)),
)
await server.connect(new StdioServerTransport())
