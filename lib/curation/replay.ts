// Runs the calls of a tool trace again, as a rollout would.
import { heldExactly, jsonProblem, jsonText } from '../core/exact-json.js'
import { malformed, type ParsedToolCall } from '../policy/calls/parsed-call.js'
import type { Message, ToolCall } from '../policy/types.js'
import { type RolloutOptions, resolveRolloutOptions } from '../rollout/options.js'
import { runToolCall } from '../rollout/run-tool-call.js'
import type { Tool } from '../tools/types.js'

/** A call of a log keeps its numbers as text; a tool takes numbers. */
function heldCall(call: ToolCall): ParsedToolCall {
  try {
    return { kind: 'call', ...call, arguments: heldExactly(call.arguments, 'arguments') }
  } catch (error) {
    return malformed(jsonText(call.arguments) as string, jsonProblem(error))
  }
}

/** The first call whose outcome is not 'ok', with what it returned; undefined where there is none. It stops there. */
export async function findFailingCall(
  messages: readonly Message[],
  tools: readonly Tool[],
  { id, rollout = {}, signal }: { id: string; rollout?: RolloutOptions; signal: AbortSignal },
): Promise<string | undefined> {
  const { toolTimeout, toolConcurrency, maxObservationCharacters } = resolveRolloutOptions(rollout)
  const ended = new AbortController()
  const settings = { tools, toolTimeout, toolConcurrency, maxObservationCharacters, rolloutId: id, signal }
  try {
    const calls = messages.flatMap(({ toolCalls = [] }, at) => toolCalls.map((call) => ({ call, at })))
    for (const [index, { call, at }] of calls.entries()) {
      signal.throwIfAborted()
      // Calls run one after the other, because a later one may need what an earlier one left behind.
      const record = await runToolCall(heldCall(call), {
        ...settings,
        rolloutEnded: ended.signal,
        messages: messages.slice(0, at),
      })
      signal.throwIfAborted()
      if (record.outcome !== 'ok')
        return `call ${index + 1} (${call.name}): ${record.outcome}: ${record.observation.slice(0, 200)}`
    }
    return undefined
  } finally {
    ended.abort()
  }
}
