// What the policy said and called in a rollout, over all its token sequences, in the order in which it was said.

import { HdpoError } from '../core/errors.js'
import { findAnswers, isWellFormed, tagsBalance } from '../policy/calls/markup.js'
import { parseToolCalls, type TurnReading } from '../policy/calls/tool-call-parser.js'
import type { Outcome, Rollout, SamplingRecord, ToolCallRecord } from '../rollout/types.js'
import type { ChatMessage } from './chat-message.js'
import type { RolloutDefinition } from './rollout-definition.js'
import type { RolloutSegment } from './rollout-segment.js'

export interface PlayedTurn {
  segment: RolloutSegment
  /** As the policy wrote it, calls included. */
  text: string
  finish: 'stop' | 'length'
  /** Names of the tools that the request offered; empty where calls were off, and then nothing is a call. */
  toolNames: readonly string[]
  sampling: SamplingRecord
  /** What the client knows the calls by that could be read, in order. */
  callIds: readonly string[]
  reading: TurnReading
}

interface SentCall {
  record: ToolCallRecord
  at: number
}

export class PlayedTurns {
  readonly #turns: (PlayedTurn & { calls: number })[] = []
  readonly #toolCalls: ToolCallRecord[] = []
  /** Calls whose results have not come yet, by id. */
  readonly #sent = new Map<string, SentCall>()

  get count(): number {
    return this.#turns.length
  }

  add(turn: PlayedTurn): void {
    const calls = turn.toolNames.length > 0 ? parseToolCalls(turn.text, turn.reading) : []
    this.#turns.push({ ...turn, calls: calls.length })
    const ids = [...turn.callIds]
    for (const call of calls) {
      const record: ToolCallRecord = {
        name: call.kind === 'call' ? call.name : '',
        arguments: call.kind === 'call' ? call.arguments : call.text,
        outcome:
          call.kind === 'malformed'
            ? 'malformed'
            : turn.toolNames.includes(call.name)
              ? 'ok'
              : 'unknown-tool',
        observation: '',
        milliseconds: 0,
      }
      this.#toolCalls.push(record)
      const id = call.kind === 'call' ? ids.shift() : undefined
      if (id !== undefined) this.#sent.set(id, { record, at: performance.now() })
    }
  }

  /** What the agent's tools returned; the time is that from the call's being sent to its result's coming back. */
  addResults(messages: readonly ChatMessage[]): void {
    for (const { callId, message } of messages) {
      const sent = callId === undefined ? undefined : this.#sent.get(callId)
      if (callId === undefined || !sent) continue
      sent.record.observation = message.content
      sent.record.milliseconds = performance.now() - sent.at
      this.#sent.delete(callId)
    }
  }

  /** The sequence that the last turn is of comes first: its messages are the rollout's. */
  toRollout(
    { id, task }: RolloutDefinition,
    segments: readonly RolloutSegment[],
    outcome: Outcome | undefined,
  ): Rollout {
    const last = this.#turns.at(-1)
    if (!last) throw new HdpoError('ERR_INTERNAL', 'a rollout without turns has no rollout')
    const others = segments.filter((segment) => segment !== last.segment && segment.turnEnds.length > 0)
    return {
      id,
      taskId: task.id,
      ...last.segment.tokens(),
      promptTokens: last.segment.promptTokens,
      ...(others.length > 0 && { moreSequences: others.map((segment) => segment.tokens()) }),
      messages: last.segment.messages,
      toolCalls: this.#toolCalls,
      turns: this.#turns.length,
      end: outcome === undefined ? 'aborted' : this.#end(),
      finalAnswer: outcome?.answer ?? findAnswers(last.text).at(-1),
      wellFormed: this.#wellFormed(),
      ...(outcome && { outcome }),
      sampling: this.#sampling(),
      ...(task.metadata && { metadata: task.metadata }),
    }
  }

  #sampling(): SamplingRecord[] {
    return [...new Map(this.#turns.map(({ sampling }) => [JSON.stringify(sampling), sampling])).values()]
  }

  #end(): Rollout['end'] {
    const last = this.#turns.at(-1)
    if (last?.finish === 'length') return 'tokens'
    return last?.calls === 0 ? 'answer' : 'turns'
  }

  /**
   * Agents that know no <answer> tags answer with their last turn: then it has to be one without a call, all tags
   * balanced.
   */
  #wellFormed(): boolean {
    const texts = this.#turns.map(({ text }) => text)
    if (texts.some((text) => text.includes('<answer>'))) return isWellFormed(texts)
    return texts.every(tagsBalance) && this.#end() === 'answer'
  }
}
