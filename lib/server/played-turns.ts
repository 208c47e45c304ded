// Everything that the policy wrote and called in a rollout, over all its token sequences, in the order of writing.

import { HdpoError } from '../core/errors.js'
import type { CallFormat } from '../policy/calls/call-format.js'
import { findAnswers, hasAnswerTag, isWellFormed, tagsBalance } from '../policy/calls/markup.js'
import { splitThought } from '../policy/calls/thoughts.js'
import type { Outcome, Rollout, SamplingRecord, ToolCallRecord } from '../rollout/types.js'
import type { ChatMessage } from './chat-message.js'
import type { RolloutDefinition } from './rollout-definition.js'
import type { RolloutSegment } from './rollout-segment.js'

export interface PlayedTurn {
  segment: RolloutSegment
  /** Control tokens that the texts given before the turn spell out, and that are encoded as ordinary text. */
  controlTokensInText: number
  /** The text as the policy wrote it, including calls. */
  text: string
  finish: 'stop' | 'length'
  /** Names of the tools that the request offered. Empty where calls were off; then no text is read as a call. */
  toolNames: readonly string[]
  sampling: SamplingRecord
  /** The ids that the client got for the calls that could be parsed, in order. */
  callIds: readonly string[]
  format: CallFormat
  /** Whether the turn began inside a thought that the template opened. */
  inThought: boolean
}

interface SentCall {
  record: ToolCallRecord
  at: number
}

export class PlayedTurns {
  /** `said` is the text after the thought, because nothing inside a thought is an answer. */
  readonly #turns: (PlayedTurn & { said: string; calls: number })[] = []
  readonly #toolCalls: ToolCallRecord[] = []
  /** Calls by id whose results have not come yet. */
  readonly #sent = new Map<string, SentCall>()

  get count(): number {
    return this.#turns.length
  }

  add(turn: PlayedTurn): void {
    const { text, format, inThought, toolNames } = turn
    const calls = toolNames.length > 0 ? format.parse(text, inThought) : []
    this.#turns.push({ ...turn, said: splitThought(text, inThought).said, calls: calls.length })
    const ids = [...turn.callIds]
    for (const call of calls) {
      const record: ToolCallRecord = {
        name: call.kind === 'call' ? call.name : '',
        arguments: call.kind === 'call' ? call.arguments : call.text,
        outcome:
          call.kind === 'malformed' ? 'malformed' : toolNames.includes(call.name) ? 'ok' : 'unknown-tool',
        observation: '',
        milliseconds: 0,
      }
      this.#toolCalls.push(record)
      const id = call.kind === 'call' ? ids.shift() : undefined
      if (id !== undefined) this.#sent.set(id, { record, at: performance.now() })
    }
  }

  /** Records the tools' results. A call's time runs from sending the call to receiving its result. */
  addResults(messages: readonly ChatMessage[]): void {
    for (const { callId, message } of messages) {
      const sent = callId === undefined ? undefined : this.#sent.get(callId)
      if (callId === undefined || !sent) continue
      sent.record.observation = message.content
      sent.record.milliseconds = performance.now() - sent.at
      this.#sent.delete(callId)
    }
  }

  /** The sequence of the last turn comes first; its messages become the rollout's. */
  toRollout(
    { id, task }: RolloutDefinition,
    segments: readonly RolloutSegment[],
    outcome: Outcome | undefined,
  ): Rollout {
    const last = this.#turns.at(-1)
    if (!last) throw new HdpoError('ERR_INTERNAL', 'a rollout without turns has no rollout')
    const spelled = this.#turns.reduce((sum, { controlTokensInText }) => sum + controlTokensInText, 0)
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
      finalAnswer: outcome?.answer === undefined ? findAnswers(last.said).at(-1) : reported(outcome.answer),
      wellFormed: this.#wellFormed(),
      ...(outcome && { outcome }),
      sampling: this.#sampling(),
      ...(spelled > 0 && { controlTokensInText: spelled }),
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
   * An agent without <answer> tags answers with its last turn. That turn must hold no call and more than a thought, and the tags
   * of all turns must balance.
   */
  #wellFormed(): boolean {
    const texts = this.#turns.map(({ said }) => said)
    if (texts.some(hasAnswerTag)) return isWellFormed(texts)
    const last = this.#turns.at(-1)
    const onlyThought = last !== undefined && last.said !== last.text && last.said.trim() === ''
    return texts.every(tagsBalance) && this.#end() === 'answer' && !onlyThought
  }
}

/** The answer without its thought, because an agent may report the policy's whole text. */
function reported(answer: string): string | undefined {
  const { thought, said } = splitThought(answer, 'unknown')
  if (thought === '') return answer
  return said.trim() === '' ? undefined : said.trim()
}
