// One rollout of a model behind a chat API, whose tool calls are run here.
import { setTimeout as sleep } from 'node:timers/promises'
import { AttemptError, endpointRefusal } from '../http/fetch-with-retries.js'
import type { ParsedToolCall } from '../policy/calls/parsed-call.js'
import { splitThought } from '../policy/calls/thoughts.js'
import { callIdSource } from '../policy/messages/call-id-source.js'
import type { ReadReply, WireMessage } from '../policy/messages/read-reply.js'
import { toWire } from '../policy/messages/to-wire.js'
import type { Message } from '../policy/types.js'
import type { GroupOptions } from '../rollout/group.js'
import { resolveRolloutOptions } from '../rollout/options.js'
import { runToolCall, type ToolCallSettings } from '../rollout/run-tool-call.js'
import type { Task, ToolCallRecord } from '../rollout/types.js'
import type { Tool } from '../tools/types.js'
import type { ChatEndpoint, ChatReply } from './chat-endpoint.js'
import { type PlayedRollout, playedRollout } from './played-rollout.js'

interface EndpointRolloutOptions {
  endpoint: ChatEndpoint
  task: Task
  tools: readonly Tool[]
  id: string
  /** maxTurns, toolChoice, toolTimeout, toolConcurrency and maxObservationCharacters; the endpoint decides how it samples. */
  rollout: Omit<GroupOptions, 'size' | 'seed' | 'signal'>
  /** A system message before the task's messages. */
  system?: string
  signal: AbortSignal
}

/**
 * If a request fails for good, the rollout has `failure`: it says nothing about the model and is left ungraded. If every other
 * request would fail too (a wrong key, model or address, credit that is used up), this rejects with ERR_ENDPOINT.
 */
export async function endpointRollout(options: EndpointRolloutOptions): Promise<PlayedRollout> {
  return new EndpointRollout(options).play()
}

class EndpointRollout {
  readonly #wire: WireMessage[]
  readonly #messages: Message[] = []
  readonly #toolCalls: ToolCallRecord[] = []
  readonly #ended = new AbortController()
  readonly #usage = { promptTokens: 0, completionTokens: 0 }
  readonly #settings: ReturnType<typeof resolveRolloutOptions>
  readonly #idOf = callIdSource()
  #turns = 0
  /** What the last turn said after its thought. */
  #lastSaid = ''

  constructor(private readonly options: EndpointRolloutOptions) {
    this.#settings = resolveRolloutOptions(options.rollout)
    const system: Message[] =
      options.system === undefined ? [] : [{ role: 'system', content: options.system }]
    this.#wire = toWire([...system, ...options.task.messages], this.#idOf)
  }

  async play(): Promise<PlayedRollout> {
    const began = performance.now()
    try {
      for (;;) {
        const end = await this.#playTurn()
        if (end !== undefined) return this.#rollout(end, began)
      }
    } catch (error) {
      if (!(error instanceof AttemptError)) throw error
      if (error.refusesAll) throw endpointRefusal('the endpoint', error)
      return this.#rollout('aborted', began, error.message)
    } finally {
      this.#ended.abort()
    }
  }

  async #playTurn(): Promise<PlayedRollout['end'] | undefined> {
    const { endpoint, tools, signal } = this.options
    const { toolChoice, maxTurns } = this.#settings
    // 'required' holds for the first turn, as in rollouts of a policy.
    const choice = toolChoice === 'required' && this.#turns > 0 ? 'auto' : toolChoice
    const reply = await endpoint.complete(this.#wire, tools, choice, signal, this.#idOf)
    this.#turns++
    this.#record(reply)
    const records = await Promise.all(reply.calls.map(({ call }) => this.#run(call)))
    this.#toolCalls.push(...records)
    if (reply.calls.length === 0) return reply.finishReason === 'length' ? 'tokens' : 'answer'
    if (this.#turns === maxTurns) return 'turns'
    this.#observe(reply.calls, records)
    // Scripted endpoints answer at once, so the rest of the process would get no turn.
    await sleep(0)
    return undefined
  }

  #record({ content, thought, calls, wire, promptTokens, completionTokens }: ChatReply): void {
    this.#lastSaid = splitThought(content, thought === '' ? 'unknown' : false).said
    this.#usage.promptTokens += promptTokens
    this.#usage.completionTokens += completionTokens
    this.#wire.push(wire)
    const toolCalls = calls.flatMap(({ call }) =>
      call.kind === 'call' ? [{ name: call.name, arguments: call.arguments }] : [],
    )
    this.#messages.push({
      role: 'assistant',
      content,
      ...(thought !== '' && { thought }),
      ...(toolCalls.length > 0 && { toolCalls }),
    })
  }

  #run(call: ParsedToolCall): Promise<ToolCallRecord> {
    const { tools, id, signal } = this.options
    const { toolTimeout, toolConcurrency, maxObservationCharacters } = this.#settings
    const settings: ToolCallSettings = {
      tools,
      toolTimeout,
      toolConcurrency,
      maxObservationCharacters,
      rolloutId: id,
      rolloutEnded: this.#ended.signal,
      messages: [...this.options.task.messages, ...this.#messages.slice(0, -1)],
      signal,
    }
    return runToolCall(call, settings)
  }

  #observe(calls: ReadReply['calls'], records: readonly ToolCallRecord[]): void {
    records.forEach(({ name, observation }, index) => {
      const id = calls[index]?.id as string
      this.#wire.push({ role: 'tool', content: observation, tool_call_id: id })
      this.#messages.push({ role: 'tool', content: observation, ...(name !== '' && { name }) })
    })
  }

  #rollout(end: PlayedRollout['end'], began: number, failure?: string): PlayedRollout {
    const { task, id } = this.options
    return playedRollout(
      {
        id,
        taskId: task.id,
        messages: [...task.messages, ...this.#messages],
        toolCalls: this.#toolCalls,
        turns: this.#turns,
        end,
        latencySeconds: (performance.now() - began) / 1000,
        usage: this.#usage,
        ...(failure !== undefined && { failure }),
        ...(task.metadata && { metadata: task.metadata }),
      },
      end === 'answer' ? this.#lastSaid : '',
    )
  }
}
