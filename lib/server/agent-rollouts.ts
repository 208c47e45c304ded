// Groups of rollouts played by a user's own agent against a server of the policy: a Trainer's `runGroup`.

import pLimit from 'p-limit'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { functionIdentity } from '../core/function-identity.js'
import { messageOf } from '../core/message-of.js'
import { Described, InvalidOptionError } from '../core/option-error.js'
import { callback, count, instance, milliseconds, notNegative } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'
import { deriveSeed } from '../core/seed.js'
import { withStopSignal } from '../core/stop-signal.js'
import { untilAborted } from '../core/until-aborted.js'
import { findAnswers } from '../policy/calls/markup.js'
import { type Agent, readAgentResult, type TrainingContext } from '../rollout/agent.js'
import { type RunGroup, resolveGroup } from '../rollout/group.js'
import { type RolloutOptions, resolveRolloutOptions } from '../rollout/options.js'
import type { Outcome, Rollout, Task } from '../rollout/types.js'
import type { AgentServer, RolloutHandle } from './create-server.js'
import type { RolloutLimits } from './server-options.js'

export const agentRolloutsShape = {
  /** A server of the policy that is trained. */
  server: instance<AgentServer>('what createServer returns'),
  /** Plays one rollout; it asks the server for every completion. */
  agent: callback<Agent<TrainingContext>>(),
  /** Milliseconds per rollout, after which its signal is aborted. Default 10 minutes. */
  timeout: milliseconds.default(10 * 60_000),
  /** Agents that run at once, over all groups. Default 256. */
  concurrency: count.default(256),
  /** What a call costs, by the tool's name, in the unit of ToolCallRecord.cost. Default 1 each. */
  toolCosts: z.record(z.string(), notNegative).readonly().default({}),
}
const agentRolloutsOptions = z.strictObject(agentRolloutsShape)
export interface AgentRolloutsOptions extends OptionsOf<typeof agentRolloutsShape> {}

export function agentRollouts(given: AgentRolloutsOptions): RunGroup {
  const options = readOptions(agentRolloutsOptions, given, 'agentRollouts')
  const { server, concurrency } = options
  const limit = pLimit(concurrency)
  const player = new AgentPlayer(options)
  const play: RunGroup = async (policy, task, _tools, given) => {
    const { size, seed, signal, rollout } = resolveGroup(given)
    if (policy !== server.policy) {
      throw new InvalidOptionError('policy', 'the one that the server serves', new Described('another'))
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
  const { agent, toolCosts } = options
  return Object.assign(play, { identity: { agent: functionIdentity(agent), toolCosts } })
}

class AgentPlayer {
  /** Whether some agent has finished a rollout. */
  #proven = false
  #firstFailure: unknown

  constructor(private readonly options: ResolvedOptions<typeof agentRolloutsShape>) {}

  async play(task: Task, name: string, stop: AbortSignal, limits: RolloutLimits): Promise<Rollout> {
    const { server, agent, timeout } = this.options
    // One task may be in several groups at once (evaluation, the turn of an epoch), so the server gives the rollouts ids of its
    // own.
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
      // An agent that ignores its signal is not waited for.
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

  /** Ends the run where all rollouts of a group failed and none has ever succeeded: the agent is then taken to be faulty. */
  checkProven(task: Task, stop: AbortSignal): void {
    if (this.#proven || stop.aborted) return
    throw new HdpoError(
      'ERR_AGENT',
      `task "${task.id}": the agent failed in every rollout so far: ${messageOf(this.#firstFailure)}`,
      { cause: this.#firstFailure },
    )
  }

  #withCosts(played: Rollout): Rollout {
    const { toolCosts } = this.options
    for (const call of played.toolCalls) {
      const cost = toolCosts[call.name]
      if (cost !== undefined) call.cost = cost
    }
    return played
  }
}

/** Where the answer has <answer> tags, only the text between them counts, as in an evaluation. */
function outcomeOf(result: unknown): Outcome {
  const { outcome } = readAgentResult(result)
  const tagged = findAnswers(outcome.answer ?? '').at(-1)
  return tagged === undefined ? outcome : { ...outcome, answer: tagged }
}

/** The trainer's rollout options that apply to an agent. Turns, tools and their time-outs are the agent's own. */
function rolloutLimits(rollout: RolloutOptions): RolloutLimits {
  const { temperature, topP, topK, minP, maxTokens, maxTurnTokens, toolChoice, stop } =
    resolveRolloutOptions(rollout)
  if (toolChoice === 'required') {
    const expected = "auto or none (an agent's requests say whether a call is required)"
    throw new InvalidOptionError('rollout.toolChoice', expected, toolChoice)
  }
  if (stop !== undefined) {
    const expected = "left out (an agent's requests say where a turn stops)"
    throw new InvalidOptionError('rollout.stop', expected, stop)
  }
  return {
    toolChoice,
    ...(maxTokens !== undefined && { maxTokens }),
    ...(maxTurnTokens !== undefined && { maxTurnTokens }),
    // Set where the trainer sets nothing too, so that no agent narrows what is explored, each in its own way.
    sampling: { temperature, topP, topK, minP },
  }
}

/** Abandons the rollout, which may have ended already because it was idle for too long. */
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
