// Groups of rollouts played by an agent of the user's own, against a server of the policy: a Trainer's `runGroup`.

import pLimit from 'p-limit'
import { HdpoError } from '../core/errors.js'
import { messageOf } from '../core/message-of.js'
import { deriveSeed } from '../core/seed.js'
import { withStopSignal } from '../core/stop-signal.js'
import { untilAborted } from '../core/until-aborted.js'
import { findAnswers } from '../policy/calls/markup.js'
import { type Agent, readAgentResult, type TrainingContext } from '../rollout/agent.js'
import type { GroupOptions, RunGroup } from '../rollout/group.js'
import type { Outcome, Rollout, Task } from '../rollout/types.js'
import type { AgentServer, RolloutHandle } from './create-server.js'
import type { RolloutLimits } from './rollout-definition.js'

export interface AgentRolloutsOptions {
  server: AgentServer
  agent: Agent<TrainingContext>
  /** Milliseconds of one rollout, after which its signal is aborted. Default 10 minutes. */
  timeout?: number
  /** Agents at once, over all groups. Default 256. */
  concurrency?: number
  /** What a call of a tool costs, by name, as ToolCallRecord.cost has it. Default 1 each. */
  toolCosts?: Readonly<Record<string, number>>
}

export function agentRollouts(options: AgentRolloutsOptions): RunGroup {
  const { server, concurrency = 256, timeout = 10 * 60_000 } = options
  checkOptions({ ...options, concurrency, timeout })
  const limit = pLimit(concurrency)
  const player = new AgentPlayer({ ...options, timeout })
  return async (policy, task, _tools, { size, seed = 0, signal, ...rollout }) => {
    if (policy !== server.policy) {
      throw new TypeError("runGroup: the server serves another policy than the trainer's")
    }
    const limits = rolloutLimits(rollout)
    return withStopSignal([signal], async (stop) => {
      const played = await Promise.all(
        Array.from({ length: size }, (_, index) =>
          limit(() =>
            player.play(task, `${task.id}#${index}`, stop, {
              ...limits,
              sampling: { ...limits.sampling, seed: deriveSeed(seed, 'rollout', index) },
            }),
          ),
        ),
      )
      player.checkProven(task, stop)
      return played
    })
  }
}

class AgentPlayer {
  /** Whether some agent has come to an end. */
  #proven = false
  #firstFailure: unknown

  constructor(private readonly options: AgentRolloutsOptions & { timeout: number }) {}

  async play(task: Task, name: string, stop: AbortSignal, limits: RolloutLimits): Promise<Rollout> {
    const { server, agent, timeout } = this.options
    // One task may be in several groups at once (evaluation, the turn of an epoch): ids of the server are its own.
    const rollout = server.startRollout({ task, ...limits })
    const { baseURL, apiKey, model } = rollout
    const { toolChoice = 'auto' } = limits
    const messages = structuredClone(task.messages)
    const context = { task, messages, toolChoice, rolloutId: name, baseURL, apiKey, model }
    const late = new AbortController()
    const timer = setTimeout(
      () => late.abort(new DOMException(`no outcome after ${timeout} ms`, 'TimeoutError')),
      timeout,
    )
    try {
      const result = await withStopSignal([stop, rollout.signal, late.signal], (signal) =>
        untilAborted(signal, () => agent({ ...context, signal })),
      )
      const played = await rollout.finish(outcomeOf(result))
      this.#proven = true
      return this.#withCosts({ ...played, id: name })
    } catch (error) {
      this.#firstFailure ??= error
      const recorded = await abandoned(rollout)
      return this.#withCosts({
        ...(recorded ?? nothingSaid(task)),
        id: name,
        failure: `the agent failed: ${messageOf(error)}`,
      })
    } finally {
      clearTimeout(timer)
    }
  }

  /** A group of failures alone, before any agent has succeeded, is taken for a mistake in the agent and ends the run. */
  checkProven(task: Task, stop: AbortSignal): void {
    if (this.#proven || stop.aborted) return
    throw new HdpoError(
      'ERR_AGENT',
      `task "${task.id}": the agent failed in every rollout so far: ${messageOf(this.#firstFailure)}`,
      { cause: this.#firstFailure },
    )
  }

  #withCosts(played: Rollout): Rollout {
    const { toolCosts = {} } = this.options
    for (const call of played.toolCalls) {
      const cost = toolCosts[call.name]
      if (cost !== undefined) call.cost = cost
    }
    return played
  }
}

/** An answer in <answer> tags is what stands between them, as in an evaluation. */
function outcomeOf(result: unknown): Outcome {
  const { outcome } = readAgentResult(result)
  const tagged = findAnswers(outcome.answer ?? '').at(-1)
  return tagged === undefined ? outcome : { ...outcome, answer: tagged }
}

/** What of the trainer's rollout options holds for an agent. Turns, tools and their time-outs are the agent's own. */
function rolloutLimits(rollout: Omit<GroupOptions, 'size' | 'seed' | 'signal'>): RolloutLimits {
  const { temperature = 1, topP, topK, minP, maxTokens, maxTurnTokens, toolChoice = 'auto', stop } = rollout
  if (toolChoice === 'required') {
    throw new RangeError(
      "rollout.toolChoice: an agent's requests say whether a call is required; got 'required'",
    )
  }
  if (stop !== undefined)
    throw new RangeError("rollout.stop: an agent's requests say where a turn stops; leave it out")
  return {
    toolChoice,
    ...(maxTokens !== undefined && { maxTokens }),
    ...(maxTurnTokens !== undefined && { maxTurnTokens }),
    // Set where the trainer sets nothing too, so that no agent narrows what is explored, each in its own way.
    sampling: { temperature, topP: topP ?? 1, topK: topK ?? 0, minP: minP ?? 0 },
  }
}

/** The rollout may have ended already, given up for its agent's silence. */
async function abandoned(rollout: RolloutHandle): Promise<Rollout | undefined> {
  return rollout.signal.aborted ? undefined : rollout.abandon()
}

function nothingSaid(task: Task): Rollout {
  return {
    id: task.id,
    taskId: task.id,
    tokens: new Int32Array(0),
    mask: new Uint8Array(0),
    logprobs: new Float32Array(0),
    promptTokens: 0,
    messages: task.messages,
    toolCalls: [],
    turns: 0,
    end: 'aborted',
    finalAnswer: undefined,
    wellFormed: false,
    ...(task.metadata && { metadata: task.metadata }),
  }
}

function checkOptions({
  agent,
  timeout,
  concurrency,
  toolCosts = {},
}: Required<Pick<AgentRolloutsOptions, 'agent' | 'timeout' | 'concurrency'>> & AgentRolloutsOptions): void {
  if (typeof agent !== 'function') throw new TypeError(`agent: must be a function, got ${typeof agent}`)
  // setTimeout takes no more.
  if (!(timeout > 0 && timeout < 2 ** 31))
    throw new RangeError(`timeout: must be from 1 to 2^31 - 1, got ${timeout}`)
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
    throw new RangeError(`concurrency: must be a whole number of at least 1, got ${concurrency}`)
  }
  for (const [name, cost] of Object.entries(toolCosts)) {
    if (!(cost >= 0 && Number.isFinite(cost))) {
      throw new RangeError(`toolCosts.${name}: must be at least 0, got ${cost}`)
    }
  }
}
