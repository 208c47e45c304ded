// What is given as tools: a list of them in code; what a module of a user exports on the command line.
import { HdpoError } from '../core/errors.js'
import { isRecord } from '../core/is-record.js'
import { describeMistake } from '../core/option-error.js'
import { kind } from '../core/option-kinds.js'
import { type AiSdkTool, fromAiSdk } from './ai-sdk.js'
import type { Tool } from './types.js'

export function isTool(value: unknown): value is Tool {
  return isRecord(value) && typeof value.name === 'string' && typeof value.run === 'function'
}

/** For options of functions. Names may not repeat: a call says no more than a name. */
export const toolList = kind<readonly Tool[]>(
  'a list of tools with different names, each from defineTool (of the AI SDK: await fromAiSdk(tools))',
  // `every` by itself would leave out the holes of a list.
  (value) => Array.isArray(value) && Array.from(value).every(isTool) && repeatedName(value) === undefined,
)

export function repeatedName(tools: readonly Tool[]): string | undefined {
  const names = tools.map(({ name }) => name)
  return names.find((name, index) => names.indexOf(name) !== index)
}

const allowed =
  "a tool of defineTool, a list or an object of such tools, or an object of the AI SDK's tools, each under its name"

/**
 * The tools that a module exports; `where` names it in messages. Rejects with ERR_CONFIG where that is anything but tools, and as
 * fromAiSdk does.
 */
export async function exportedTools(exported: unknown, where: string): Promise<Tool[]> {
  if (isTool(exported)) return [exported]
  if (Array.isArray(exported) && exported.length > 0) {
    const each = await Promise.all(
      exported.map((one, index) => exportedTools(one, `${where}, element ${index}`)),
    )
    return each.flat()
  }
  if (isRecord(exported) && Object.keys(exported).length > 0) {
    const values = Object.values(exported)
    if (values.every(isTool)) return values
    if (values.every(isAiSdkTool)) return fromAiSdk(exported as Record<string, AiSdkTool>)
  }
  const hint = isAiSdkTool(exported) ? '; a tool of the AI SDK has no name: export { search: tool(...) }' : ''
  throw new HdpoError(
    'ERR_CONFIG',
    describeMistake({ option: where, expected: allowed, given: exported }) + hint,
  )
}

/** What tool() and dynamicTool() return, and tools that their provider runs, which fromAiSdk refuses by name. */
function isAiSdkTool(value: unknown): value is AiSdkTool {
  return (
    isRecord(value) && !isTool(value) && ('inputSchema' in value || 'execute' in value || 'type' in value)
  )
}
