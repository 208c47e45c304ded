// Offers the tools of an MCP server as tools of a rollout.
import type { Tool as McpTool } from '@modelcontextprotocol/client'
import { HdpoError } from '../core/errors.js'
import { InvalidOptionError } from '../core/option-error.js'
import { readOptions } from '../core/options.js'
import { resolveInputSchema } from './input-schema.js'
import type { McpLink } from './mcp/link.js'
import {
  type LinkSettings,
  type McpEndpoint,
  type McpOptions,
  type McpProgram,
  type McpServer,
  mcpServer,
} from './mcp/options.js'
import { fromMcpResult } from './mcp/result.js'
import type { Tool } from './types.js'

export type { McpOptions, McpServer }

export interface McpConnection {
  tools: Tool[]
  /** How often the server was restarted or connected to again. */
  readonly restarts: number
  /** Ends the program or the session, as closing one of its tools does. Must be called before the process can exit. */
  close(): Promise<void>
}

// Added to the tool's time-out, so that the connection's own, which gives the reason, comes first.
const graceTime = 5000

/**
 * Connects over stdio (`command`) or streamable HTTP (`url`) and lists the tools. Rejects where the server cannot be reached, has
 * two tools of one name, or has a tool that a rollout cannot offer; with InvalidOptionError for wrong options.
 */
export async function connectMcp(server: McpServer): Promise<McpConnection> {
  const { prefix, only, timeout, patience, maxMessageBytes, ...address } = readOptions(
    mcpServer,
    server,
    'connectMcp',
  )
  const settings = { timeout, patience, maxMessageBytes }
  // Loading the MCP client takes half a second, so only those who connect to a server pay for it.
  const { McpLink } = await import('./mcp/link.js')
  const link = await McpLink.open(address as McpProgram | McpEndpoint, settings)
  try {
    const listed = select(await link.listTools(), only)
    const tools = listed.map((tool) => toTool(tool, link, settings, prefix))
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

/** Dialects before draft-07 are read as the current one; schemas of tools hardly differ between them. */
function withKnownDialect(schema: Record<string, unknown>): Record<string, unknown> {
  const { $schema, ...rest } = schema
  return /draft-07|2020-12/.test(String($schema)) ? schema : rest
}

function select(tools: readonly McpTool[], only: readonly string[] | undefined): McpTool[] {
  if (!only) return [...tools]
  const names = tools.map(({ name }) => name)
  const missing = only.find((name) => !names.includes(name))
  if (missing !== undefined) {
    const expected = `names of the server's tools, which are ${names.join(', ') || 'none'}`
    throw new InvalidOptionError('connectMcp.only', expected, missing)
  }
  return tools.filter(({ name }) => only.includes(name))
}

/** Checks the tools' names after they were adapted, which may make two equal or one too long. */
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
