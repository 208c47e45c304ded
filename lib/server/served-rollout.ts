// One rollout of an agent that calls this server: its requests, joined by their histories, and how it ended.
import { HdpoError } from '../core/errors.js'
import { ApiError } from '../http/api-error.js'
import type { RolloutPolicy } from '../policy/types.js'
import type { Outcome, Rollout } from '../rollout/types.js'
import type { CompletionRequest } from './completion-request.js'
import { type PlayedTurn, PlayedTurns } from './played-turns.js'
import type { PromptCache } from './prompt-cache.js'
import type { RolloutDefinition } from './rollout-definition.js'
import { RolloutHistory } from './rollout-history.js'
import type { Splits } from './rollout-segment.js'
import { type ForcedBeginning, type Reply, RolloutTurn } from './rollout-turn.js'
import type { SampledTurn } from './sample-turn.js'

export class ServedRollout {
  /** Completions that were begun but not delivered. */
  discardedTurns = 0
  readonly #history: RolloutHistory
  readonly #played = new PlayedTurns()
  readonly #underWay = new Set<RolloutTurn>()
  readonly #ending = new AbortController()

  constructor(
    readonly definition: RolloutDefinition,
    policy: RolloutPolicy,
    prompts: PromptCache,
  ) {
    this.#history = new RolloutHistory(policy, prompts, definition.maxTokens)
  }

  get id(): string {
    return this.definition.id
  }
  /** Aborted when the rollout ends. */
  get signal(): AbortSignal {
    return this.#ending.signal
  }
  get splits(): Splits {
    return this.#history.splits
  }
  get segments(): number {
    return this.#history.segments.length
  }
  get droppedThoughts(): number {
    return this.#history.droppedThoughts
  }
  get turnsUnderWay(): number {
    return this.#underWay.size
  }

  /** `forced` is the text that the reply has to begin with. */
  startTurn(request: CompletionRequest, forced: ForcedBeginning): RolloutTurn {
    this.signal.throwIfAborted()
    this.#played.addResults(request.messages)
    const turn = new RolloutTurn(this.#history.plan(request), forced)
    this.#underWay.add(turn)
    return turn
  }

  commitTurn(
    turn: RolloutTurn,
    sampled: SampledTurn,
    reply: Reply,
    played: Omit<PlayedTurn, 'segment' | 'controlTokensInText'>,
  ): void {
    turn.commit(sampled, reply)
    this.#underWay.delete(turn)
    const { segment, controlTokensInText } = turn
    this.#played.add({ ...played, segment, controlTokensInText })
  }

  discardTurn(turn: RolloutTurn): void {
    this.discardedTurns++
    turn.discard()
    this.#history.forgetIfEmpty(turn.segment)
    this.#underWay.delete(turn)
  }

  /** Ends the rollout; completions under way are broken off. */
  async finish(outcome: Outcome): Promise<Rollout> {
    await this.#end()
    if (this.#played.count === 0) {
      throw new HdpoError(
        'ERR_NO_COMPLETION',
        `rollout "${this.id}" ended without a completion of the policy`,
      )
    }
    return this.#played.toRollout(this.definition, this.#history.segments, outcome)
  }

  /** Ends the rollout without an outcome. Undefined where the policy wrote nothing. */
  async abandon(): Promise<Rollout | undefined> {
    await this.#end()
    if (this.#played.count === 0) return undefined
    return this.#played.toRollout(this.definition, this.#history.segments, undefined)
  }

  async #end(): Promise<void> {
    this.#ending.abort(rolloutEnded(this.id))
    await Promise.all([...this.#underWay].map(({ ended }) => ended))
    this.#history.release()
  }
}

export function rolloutEnded(id: string): ApiError {
  return new ApiError(409, `rollout "${id}" has ended`, { code: 'rollout_ended' })
}
