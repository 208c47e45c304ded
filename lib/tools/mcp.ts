// The tools of an MCP server, as tools of a rollout.

import { inspect } from 'node:util'
import type { Tool as McpTool } from '@modelcontextprotocol/client'
import { HdpoError } from '../core/errors.js'
import { resolveInputSchema } from './input-schema.js'
import type { McpEndpoint, McpProgram } from './mcp/address.js'
import type { LinkSettings, McpLink } from './mcp/link.js'
import { fromMcpResult } from './mcp/result.js'
import type { Tool } from './types.js'

export interface McpOptions {
  /** Put before the names of the tools, so that servers with the same names go together: 'files_' and the like. */
  prefix?: string
  /** The server's own names of the tools to take. Default: all. */
  only?: string[]
  /** Milliseconds of one call. Default 30,000. */
  timeout?: number
  /** Milliseconds that a call waits for a server that is down and being restarted. Default 10,000. */
  patience?: number
  /** Bytes of one message from the server; a longer one ends the connection, which is made again. Default 10 MiB. */
  maxMessageBytes?: number
}

export type McpServer = (McpProgram | McpEndpoint) & McpOptions

export interface McpConnection {
  tools: Tool[]
  /** How often the server had to be started or connected to again. */
  readonly restarts: number
  /** Ends the program or the session, as each tool's close does. Needed before the process can exit. */
  close(): Promise<void>
}

// The connection's own limit comes first, and knows why.
const graceTime = 5000

/**
 * Connects over stdio (`command`) or streamable HTTP (`url`) and lists the tools. Rejects where the server cannot be
 * reached, has two tools of one name, or one that no rollout can offer.
 */
export async function connectMcp(server: McpServer): Promise<McpConnection> {
  const settings = checkServer(server)
  // The client is half a second of loading, for those who have a server alone.
  const { McpLink } = await import('./mcp/link.js')
  const link = await McpLink.open(server, settings)
  try {
    const listed = select(await link.listTools(), server.only)
    const tools = listed.map((tool) => toTool(tool, link, settings, server.prefix ?? ''))
    checkNames(tools, listed)
    return {
      tools,
      get restarts() {
        return link.restarts
      },
      close: () => link.close(),
    }
  } catch (error) {
    await link.close()
    throw error
  }
}

function toTool(tool: McpTool, link: McpLink, { timeout, patience }: LinkSettings, prefix: string): Tool {
  const { $schema: _, ...schema } = tool.inputSchema as Record<string, unknown>
  return {
    name: `${prefix}${tool.name}`.replaceAll(/[^A-Za-z0-9_-]/g, '_'),
    description: tool.description || tool.title || tool.name,
    ...inputOf(tool),
    parameters: schema,
    timeout: timeout + patience + graceTime,
    run: async (input, { signal }) =>
      fromMcpResult(await link.call(tool, input as Record<string, unknown>, signal)),
    close: () => link.close(),
  }
}

function inputOf(tool: McpTool) {
  try {
    return resolveInputSchema(withKnownDialect(tool.inputSchema), { foreign: true })
  } catch (error) {
    throw new HdpoError('ERR_MCP_TOOL', `MCP tool "${tool.name}": ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** Older dialects than draft-07 are read as the present one, from which tools' schemas hardly differ. */
function withKnownDialect(schema: Record<string, unknown>): Record<string, unknown> {
  const { $schema, ...rest } = schema
  return /draft-07|2020-12/.test(String($schema)) ? schema : rest
}

function select(tools: readonly McpTool[], only: readonly string[] | undefined): McpTool[] {
  if (!only) return [...tools]
  const names = tools.map(({ name }) => name)
  const missing = only.find((name) => !names.includes(name))
  if (missing !== undefined) {
    throw new RangeError(`only: the MCP server has no tool "${missing}", only ${names.join(', ') || 'none'}`)
  }
  return tools.filter(({ name }) => only.includes(name))
}

/** Names may also have become the same, or too long, by being made fit. */
function checkNames(tools: readonly Tool[], listed: readonly McpTool[]): void {
  for (const [index, { name }] of tools.entries()) {
    const first = tools.findIndex((tool) => tool.name === name)
    const theirs = listed[index]?.name
    if (first < index) {
      throw new HdpoError(
        'ERR_MCP_TOOL',
        `the MCP server has two tools named "${name}" ("${listed[first]?.name}", "${theirs}")`,
      )
    }
    if (name.length > 64) {
      throw new HdpoError(
        'ERR_MCP_TOOL',
        `MCP tool "${theirs}": its name has ${name.length} characters, at most 64 can be used`,
      )
    }
  }
}

function checkServer(server: McpServer): LinkSettings {
  const { prefix = '', timeout = 30_000, patience = 10_000, maxMessageBytes = 10 * 2 ** 20 } = server
  const isProgram = 'command' in server && server.command !== undefined
  const isEndpoint = 'url' in server && server.url !== undefined
  if (isProgram === isEndpoint) throw new TypeError('connectMcp: takes either command or url')
  if (isProgram && typeof server.command !== 'string') {
    throw new TypeError(`command: must be a string, got ${inspect(server.command)}`)
  }
  if (isEndpoint && !/^https?:$/.test(protocolOf(server.url))) {
    throw new TypeError(`url: must be an http or https URL, got ${inspect(server.url)}`)
  }
  if (!/^[A-Za-z0-9_-]{0,32}$/.test(prefix)) {
    throw new RangeError(`prefix: must be at most 32 letters, digits, "_" or "-", got ${inspect(prefix)}`)
  }
  for (const [name, value] of Object.entries({ timeout, patience, maxMessageBytes })) {
    if (typeof value !== 'number') throw new TypeError(`${name}: must be a number, got ${inspect(value)}`)
    if (!(value > 0 && value <= 2 ** 30))
      throw new RangeError(`${name}: must be more than 0 and at most 2^30, got ${value}`)
  }
  return { timeout, patience, maxMessageBytes }
}

function protocolOf(url: unknown): string {
  return URL.canParse(String(url)) ? new URL(String(url)).protocol : ''
}
