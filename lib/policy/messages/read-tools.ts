// The tools of a conversation, as APIs and logs write them.
import { parseJsonKeeping } from '../../core/exact-json.js'
import { isRecord } from '../../core/is-record.js'
import type { ToolDescription } from '../types.js'
import { withoutNullKeywords } from './filled-nulls.js'
import { checkNesting, type Fail } from './message-reading.js'

/**
 * Tools in OpenAI's wrapper, { type: 'function', function: { name, description, parameters } }, or without it: a list, the JSON text of one, or
 * a list of JSON texts. Undefined where there is none of it (null or empty text).
 */
export function readTools(value: unknown, option: string, fail: Fail): ToolDescription[] | undefined {
  const tools = fromText(value, option, fail)
  if (tools === undefined || tools === null) return undefined
  if (!Array.isArray(tools))
    return fail({ option, expected: 'a list of tools, or its JSON text', given: tools })
  return tools
    .filter((tool) => tool !== null)
    .map((tool: unknown, index) => readTool(tool, `${option}[${index}]`, fail))
}

function readTool(value: unknown, option: string, fail: Fail): ToolDescription {
  const tool = unwrapped(fromText(value, option, fail))
  if (!isRecord(tool) || typeof tool.name !== 'string' || tool.name === '') {
    return fail({ option, expected: 'a tool with a name', given: value })
  }
  const { name, description } = tool
  const given = tool.parameters ?? tool.input_schema ?? tool.inputSchema
  const parameters = fromText(given, `${option}.parameters`, fail)
  checkNesting(parameters, `${option}.parameters`, fail)
  if (parameters !== undefined && parameters !== null && !isRecord(parameters)) {
    return fail({ option: `${option}.parameters`, expected: 'a JSON Schema', given: parameters })
  }
  return {
    name,
    description: typeof description === 'string' ? description : '',
    parameters: parameters
      ? (withoutNullKeywords(parameters) as Record<string, unknown>)
      : { type: 'object', properties: {} },
  }
}

/** Some data was wrapped twice. */
function unwrapped(tool: unknown): unknown {
  let inner = tool
  while (isRecord(inner) && isRecord(inner.function)) inner = inner.function
  return inner
}

function fromText(value: unknown, option: string, fail: Fail): unknown {
  if (typeof value !== 'string') return value
  if (value.trim() === '') return undefined
  try {
    return parseJsonKeeping(value, 'text')
  } catch {
    return fail({ option, expected: 'a value or its JSON text', given: value })
  }
}
