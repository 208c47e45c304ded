// Offers the tools of an MCP server as tools of a rollout.
import type { Tool as McpTool } from '@modelcontextprotocol/client'
import { HdpoError } from '../core/errors.js'
import { InvalidOptionError } from '../core/option-error.js'
import { readOptions } from '../core/options.js'
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
import { type ReadTool, readTools } from './mcp/tools.js'
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
 * Connects over stdio (`command`) or streamable HTTP (`url`) and lists the tools. A tool that a rollout cannot offer, for its schema or the
 * length of its name, is left out with a warning, or refused where `only` names it. Rejects where the server cannot be reached, has two tools of
 * one name, or none that can be offered; with InvalidOptionError for wrong options.
 */
export async function connectMcp(server: McpServer): Promise<McpConnection> {
  const { prefix, only, timeout, patience, maxMessageBytes, onWarning, ...address } = readOptions(
    mcpServer,
    server,
    'connectMcp',
  )
  const settings = { timeout, patience, maxMessageBytes }
  // Loading the MCP client takes half a second, so only those who connect to a server pay for it.
  const { McpLink } = await import('./mcp/link.js')
  const link = await McpLink.open(address as McpProgram | McpEndpoint, settings)
  try {
    const tools = readTools(select(await link.listTools(), only), {
      named: only !== undefined,
      prefix,
      onWarning,
    }).map((read) => toTool(read, link, settings, prefix))
    checkNames(tools)
    return {
      tools: tools.map(({ tool }) => tool),
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

interface OfferedTool {
  tool: Tool
  theirName: string
}

function toTool(
  { listed, input, checkOutput }: ReadTool,
  link: McpLink,
  { timeout, patience }: LinkSettings,
  prefix: string,
): OfferedTool {
  const tool: Tool = {
    name: `${prefix}${listed.name}`.replaceAll(/[^A-Za-z0-9_-]/g, '_'),
    description: listed.description || listed.title || listed.name,
    ...input,
    timeout: timeout + patience + graceTime,
    run: async (given, { signal }) => {
      const result = await link.call(listed, given as Record<string, unknown>, signal)
      checkOutput(result)
      return fromMcpResult(result)
    },
    close: () => link.close(),
  }
  return { tool, theirName: listed.name }
}

function select(tools: readonly McpTool[], only: readonly string[] | undefined): McpTool[] {
  if (!only) return [...tools]
  const names = new Set(tools.map(({ name }) => name))
  const missing = only.find((name) => !names.has(name))
  if (missing !== undefined) {
    const expected = `names of the server's tools, which are ${[...names].join(', ') || 'none'}`
    throw new InvalidOptionError('connectMcp.only', expected, missing)
  }
  const wanted = new Set(only)
  return tools.filter(({ name }) => wanted.has(name))
}

/** Checks the tools' names after they were adapted, which may make two equal. */
function checkNames(tools: readonly OfferedTool[]): void {
  const theirs = new Map<string, string>()
  for (const { tool, theirName } of tools) {
    const first = theirs.get(tool.name)
    if (first !== undefined) {
      throw new HdpoError(
        'ERR_MCP_TOOL',
        `the MCP server has two tools named "${tool.name}" ("${first}", "${theirName}")`,
      )
    }
    theirs.set(tool.name, theirName)
  }
}
