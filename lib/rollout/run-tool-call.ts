// Runs one call of a tool and records its outcome. It never throws for a mistake of the policy or the tool.

import { redact } from '../core/redact.js'
import { untilAborted } from '../core/until-aborted.js'
import type { ParsedToolCall } from '../policy/calls/parsed-call.js'
import type { Message } from '../policy/types.js'
import { ToolInputError } from '../tools/tool-input-error.js'
import { ToolTimeoutError } from '../tools/tool-timeout-error.js'
import type { Tool } from '../tools/types.js'
import { costOfCall, dearestCost } from './call-cost.js'
import { formatResult, truncate } from './observation.js'
import { toolCallSpan } from './spans.js'
import { toolLimit } from './tool-limit.js'
import type { ToolCallOutcome, ToolCallRecord } from './types.js'

export interface ToolCallSettings {
  tools: readonly Tool[]
  toolTimeout: number
  toolConcurrency: number
  maxObservationCharacters: number
  rolloutId: string
  rolloutEnded: AbortSignal
  /** The messages before the turn that holds the call. */
  messages?: readonly Message[]
  signal: AbortSignal
}

interface Result {
  outcome: ToolCallOutcome
  observation: string
  milliseconds: number
}

export function runToolCall(call: ParsedToolCall, settings: ToolCallSettings): Promise<ToolCallRecord> {
  return toolCallSpan(call.kind === 'call' ? call.name : '', () => recordOf(call, settings))
}

async function recordOf(call: ParsedToolCall, settings: ToolCallSettings): Promise<ToolCallRecord> {
  const { observation, ...result } = await resultOf(call, settings)
  const record = {
    name: call.kind === 'call' ? call.name : '',
    arguments: call.kind === 'call' ? call.arguments : call.text,
    ...result,
    // A policy that never reads a secret cannot learn it, and its tokens hold none.
    observation: truncate(redact(observation), settings.maxObservationCharacters),
  }
  try {
    return { ...record, cost: costOfCall(record, settings.tools) }
  } catch (error) {
    // The call has no cost to be rewarded by. Like all that goes wrong in a tool it is an error that the policy reads and metrics count.
    const failed = `${record.name} failed: its cost is unknown: ${redact(messageOf(error))}`
    const observation = truncate(failed, settings.maxObservationCharacters)
    return { ...record, outcome: 'error', observation, cost: dearestCost(settings.tools) }
  }
}

async function resultOf(call: ParsedToolCall, settings: ToolCallSettings): Promise<Result> {
  if (call.kind === 'malformed') return refused('malformed', `Malformed tool call: ${call.problem}`)
  const tool = settings.tools.find(({ name }) => name === call.name)
  if (!tool) {
    const names = settings.tools.map(({ name }) => name).join(', ') || 'none'
    return refused('unknown-tool', `There is no tool "${call.name}". Tools: ${names}`)
  }
  let input: unknown
  try {
    input = tool.validate(call.arguments)
  } catch (error) {
    if (error instanceof ToolInputError) return refused('bad-arguments', invalid(tool, error))
    return refused('error', failure(tool, error))
  }
  return toolLimit(tool, settings.toolConcurrency)(() => runInTime(tool, input, settings))
}

/**
 * Ends at the call's timeout or when the run is aborted, whether or not the tool heeds its signal; the tool's
 * place is then free.
 */
async function runInTime(tool: Tool, input: unknown, settings: ToolCallSettings): Promise<Result> {
  const timeout = tool.timeout ?? settings.toolTimeout
  const start = performance.now()
  const result = (outcome: ToolCallOutcome, observation: string): Result => ({
    outcome,
    observation,
    milliseconds: performance.now() - start,
  })
  const ended = new AbortController()
  const stop = () => ended.abort(settings.signal.reason)
  const timer = setTimeout(
    () => ended.abort(new DOMException(`${tool.name} timed out`, 'TimeoutError')),
    timeout,
  )
  settings.signal.addEventListener('abort', stop, { once: true })
  if (settings.signal.aborted) stop()
  try {
    return result('ok', await untilAborted(ended.signal, () => runTool(tool, input, ended.signal, settings)))
  } catch (error) {
    if (settings.signal.aborted) return result('error', `${tool.name} was stopped`)
    if (ended.signal.aborted) return result('timeout', `${tool.name} timed out after ${timeout} ms`)
    // Some tools check their arguments only while they run, for example because a server does it.
    if (error instanceof ToolInputError) return result('bad-arguments', invalid(tool, error))
    return result(error instanceof ToolTimeoutError ? 'timeout' : 'error', failure(tool, error))
  } finally {
    clearTimeout(timer)
    settings.signal.removeEventListener('abort', stop)
  }
}

async function runTool(
  tool: Tool,
  input: unknown,
  signal: AbortSignal,
  { rolloutId, rolloutEnded, messages }: ToolCallSettings,
): Promise<string> {
  return formatResult(
    await tool.run(input, { signal, rolloutId, rolloutEnded, ...(messages && { messages }) }),
  )
}

function refused(outcome: ToolCallOutcome, observation: string): Result {
  return { outcome, observation, milliseconds: 0 }
}

function invalid(tool: Tool, error: ToolInputError): string {
  return `Invalid arguments for ${tool.name}: ${error.message}`
}

/** The message of whatever a tool has thrown, which may be anything. */
function failure(tool: Tool, error: unknown): string {
  return `${tool.name} failed: ${messageOf(error)}`
}

function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message || error.name
  if (typeof error === 'string') return error
  try {
    return formatResult(error)
  } catch {
    // JSON cannot hold circular values and BigInts, so only the type is named.
    return Object.prototype.toString.call(error)
  }
}
