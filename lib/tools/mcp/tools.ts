// Which of a server's tools can be offered: their schemas read, the others left out by name.
import type { CallToolResult, Tool as McpTool } from '@modelcontextprotocol/client'
import { HdpoError } from '../../core/errors.js'
import {
  compileJsonSchema,
  jsonSchemaProblem,
  type SchemaKind,
  type ValidateFunction,
} from '../../core/json-schema-compiler.js'
import { complaintsOf, type InputSchema, lateInputSchema } from '../input-schema.js'
import { type ForeignSchema, readForeignSchema, UnusableSchema } from './foreign-schema.js'
import { schemasOf } from './received.js'

export interface ReadTool {
  listed: McpTool
  input: InputSchema<unknown>
  /** Throws where a result has other structured content than the tool says. */
  checkOutput(result: CallToolResult): void
}

interface ReadOptions {
  /** The user named the tools, so that none may be left out. */
  named: boolean
  prefix: string
  onWarning(message: string): void
}

const kind: SchemaKind = { allErrors: true, strict: false, patterns: 'foreign' }
const longestName = 64
const mostNamed = 20

/** Throws HdpoError ERR_MCP_TOOL where a named tool, or every one, cannot be offered. */
export function readTools(tools: readonly McpTool[], { named, prefix, onWarning }: ReadOptions): ReadTool[] {
  const unusable: string[] = []
  const unchecked: string[] = []
  const read = tools.flatMap((listed) => {
    try {
      return [readTool(listed, prefix, unchecked)]
    } catch (error) {
      if (!(error instanceof UnusableSchema)) throw error
      unusable.push(`"${listed.name}": ${error.message}`)
      return []
    }
  })
  if (unusable.length > 0 && (named || read.length === 0)) {
    throw new HdpoError('ERR_MCP_TOOL', `MCP tool ${unusable[0]}`)
  }
  if (unusable.length > 0) onWarning(`MCP tools that cannot be used are left out: ${listing(unusable)}`)
  if (unchecked.length > 0) onWarning(`MCP tools: not checked in calls: ${listing(unchecked)}`)
  return read
}

function readTool(listed: McpTool, prefix: string, unchecked: string[]): ReadTool {
  const length = prefix.length + listed.name.length
  if (length > longestName) {
    throw new UnusableSchema(`its name has ${length} characters, at most ${longestName} can be used`)
  }
  const { inputSchema, outputSchema } = schemasOf(listed)
  const { schema, ignored } = usable(inputSchema, 'input')
  unchecked.push(...ignored.map((pattern) => `"${listed.name}": the pattern ${pattern}`))
  const output = readOutput(outputSchema, listed.name, unchecked)
  return { listed, input: lateInputSchema(schema, kind), checkOutput: outputCheck(output) }
}

function usable(given: unknown, name: string): ForeignSchema {
  const read = readForeignSchema(given)
  const problem = jsonSchemaProblem(read.schema, kind)
  if (problem !== undefined)
    throw new UnusableSchema(`${name}: must be a valid JSON Schema, got one that is none: ${problem}`)
  return read
}

/** A tool works without the schema of its results, so one that cannot be used is not asserted. */
function readOutput(given: unknown, tool: string, unchecked: string[]): Record<string, unknown> | undefined {
  if (given === undefined || given === null) return undefined
  try {
    return usable(given, 'output').schema
  } catch (error) {
    if (!(error instanceof UnusableSchema)) throw error
    unchecked.push(`"${tool}": its results, ${error.message}`)
    return undefined
  }
}

function outputCheck(schema: Record<string, unknown> | undefined): (result: CallToolResult) => void {
  let check: ValidateFunction | undefined
  return ({ structuredContent, isError }) => {
    if (!schema || isError) return
    if (structuredContent === undefined)
      throw new Error('the tool returned no structured content, which it says it does')
    check ??= compileJsonSchema(schema, kind)
    if (check(structuredContent)) return
    throw new Error(
      `the structured content is not what the tool says it is: ${complaintsOf(check.errors ?? [])}`,
    )
  }
}

function listing(problems: readonly string[]): string {
  const rest = problems.length - mostNamed
  return `${problems.slice(0, mostNamed).join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`
}
