// The rollouts under way: found by id or key, abandoned when their agent sends nothing more, removed when they end.
import { randomUUID } from 'node:crypto'
import { HdpoError } from '../core/errors.js'
import { messageOf } from '../core/message-of.js'
import { ApiError } from '../http/api-error.js'
import { createRolloutKey, digest } from '../http/authorization.js'
import type { RolloutPolicy } from '../policy/types.js'
import { checkOutcome } from '../rollout/outcome.js'
import type { Outcome, Rollout } from '../rollout/types.js'
import type { PromptCache } from './prompt-cache.js'
import { rolloutEnded, ServedRollout } from './served-rollout.js'
import type { ResolvedStartRollout } from './server-options.js'

interface RegistryOptions {
  policy: RolloutPolicy
  prompts: PromptCache
  maxRollouts: number
  /** Milliseconds without a request after which a rollout is abandoned. */
  idleTimeout: number
  /** Called with every ended rollout in which the policy wrote something, before finish() resolves. */
  onRollout: (played: Rollout) => void | Promise<void>
  onWarning: (message: string) => void
}

export interface RegistryMetrics {
  liveRollouts: number
  finishedRollouts: number
  abandonedRollouts: number
  /** How many of the abandoned rollouts were idle for too long. */
  idleRollouts: number
  /** Token sequences of finished rollouts. */
  segments: number
  /** Finished rollouts with more than one sequence. */
  splitRollouts: number
  branchedSegments: number
  rewrittenSegments: number
  /** Completions of ended rollouts that were begun but not delivered. */
  discardedTurns: number
  /** Control tokens that texts of ended rollouts spelled out, and that were encoded as ordinary text. */
  controlTokensInText: number
  /** Thoughts in fields of their own (reasoning_content) that ended rollouts were sent and that the chat template has no form for. */
  droppedThoughts: number
}

interface Entry {
  rollout: ServedRollout
  keyDigest: string
  timer: NodeJS.Timeout
  /** Whether finish or abandon is at work. */
  ending: boolean
  /** The outcome of a rollout that could not be recorded. */
  unrecorded?: Outcome
}

/** The most ended rollouts whose ids are kept, so that a late request is told that its rollout has ended. */
const rememberedEnds = 4096

export class RolloutRegistry {
  readonly #live = new Map<string, Entry>()
  readonly #byKey = new Map<string, string>()
  readonly #ended = new Set<string>()
  readonly #counts = {
    finishedRollouts: 0,
    abandonedRollouts: 0,
    idleRollouts: 0,
    segments: 0,
    splitRollouts: 0,
    branchedSegments: 0,
    rewrittenSegments: 0,
    discardedTurns: 0,
    controlTokensInText: 0,
    droppedThoughts: 0,
  }

  constructor(private readonly options: RegistryOptions) {}

  get metrics(): RegistryMetrics {
    return { liveRollouts: this.#live.size, ...this.#counts }
  }

  start(definition: ResolvedStartRollout): {
    rollout: ServedRollout
    apiKey: string
  } {
    const { policy, prompts, maxRollouts } = this.options
    const id = definition.id ?? randomUUID()
    if (this.#live.has(id))
      throw new ApiError(409, `a rollout "${id}" is under way already`, { code: 'rollout_exists' })
    if (this.#live.size >= maxRollouts) {
      throw new ApiError(429, `${maxRollouts} rollouts are under way; finish some first`, {
        code: 'too_many_rollouts',
      })
    }
    const rollout = new ServedRollout({ ...definition, id }, policy, prompts)
    const apiKey = createRolloutKey()
    const entry: Entry = { rollout, keyDigest: digest(apiKey), timer: this.#timer(rollout), ending: false }
    this.#live.set(id, entry)
    this.#byKey.set(entry.keyDigest, id)
    this.#ended.delete(id)
    return { rollout, apiKey }
  }

  /** Throws ApiError 404 for an unknown rollout, 409 for one that has ended. */
  byId(id: string): ServedRollout {
    const entry = this.#live.get(id)
    if (entry) return entry.rollout
    if (this.#ended.has(id)) throw rolloutEnded(id)
    throw new ApiError(404, `there is no rollout ${JSON.stringify(id)}`, { code: 'rollout_not_found' })
  }

  byKey(keyDigest: string): ServedRollout {
    const id = this.#byKey.get(keyDigest)
    if (id === undefined) {
      throw new ApiError(401, "the key is of no rollout under way; a rollout's key ends with it", {
        code: 'invalid_api_key',
      })
    }
    return this.byId(id)
  }

  /** Restarts the idle time, because a request has come or ended. */
  touch(rollout: ServedRollout): void {
    this.#live.get(rollout.id)?.timer.refresh()
  }

  /**
   * Records the rollout with its outcome. Where that fails (a full disk), this rejects with ApiError 503 and the rollout is kept, so
   * that it can be finished again.
   */
  async finish(rollout: ServedRollout, outcome: Outcome): Promise<Rollout> {
    const checked = checkOutcome(outcome)
    const entry = this.#beginEnd(rollout)
    try {
      const played = await rollout.finish(checked)
      await this.#record(entry, checked, played)
      this.#counts.finishedRollouts++
      this.#counts.controlTokensInText += played.controlTokensInText ?? 0
      this.#counts.segments += rollout.segments
      this.#counts.splitRollouts += rollout.segments > 1 ? 1 : 0
      this.#counts.branchedSegments += rollout.splits.branched
      this.#counts.rewrittenSegments += rollout.splits.rewritten
      return played
    } finally {
      if (entry.unrecorded === undefined) this.#forget(entry)
      else entry.ending = false
    }
  }

  /** Where the rollout cannot be recorded this rejects, and it is forgotten all the same: it has no outcome to lose. */
  async abandon(rollout: ServedRollout): Promise<Rollout | undefined> {
    const entry = this.#beginEnd(rollout)
    this.#counts.abandonedRollouts++
    try {
      const played = await rollout.abandon()
      this.#counts.controlTokensInText += played?.controlTokensInText ?? 0
      if (played) await this.options.onRollout(played)
      return played
    } finally {
      this.#forget(entry)
    }
  }

  /** Ends all rollouts. What cannot be recorded is warned of. */
  async abandonAll(): Promise<void> {
    await Promise.all([...this.#live.values()].map((entry) => this.#giveUp(entry)))
  }

  /** Throws ApiError 409 for a rollout that has ended or is being ended. */
  #beginEnd(rollout: ServedRollout): Entry {
    const entry = this.#live.get(rollout.id)
    if (entry?.rollout !== rollout) throw rolloutEnded(rollout.id)
    if (entry.ending) {
      throw new ApiError(409, `rollout "${rollout.id}" is being ended already`, { code: 'rollout_ending' })
    }
    entry.ending = true
    return entry
  }

  async #record(entry: Entry, outcome: Outcome, played: Rollout): Promise<void> {
    try {
      await this.options.onRollout(played)
      delete entry.unrecorded
    } catch (error) {
      entry.unrecorded = outcome
      entry.timer.refresh()
      const why = error instanceof HdpoError && error.code === 'ERR_SYSTEM' ? `: ${error.message}` : ''
      const message = `rollout "${played.id}" could not be recorded and is kept; finish it again${why}`
      throw new ApiError(503, message, { code: 'not_recorded', cause: error })
    }
  }

  #forget({ rollout, keyDigest, timer }: Entry): void {
    clearTimeout(timer)
    this.#counts.discardedTurns += rollout.discardedTurns
    this.#counts.droppedThoughts += rollout.droppedThoughts
    this.#live.delete(rollout.id)
    this.#byKey.delete(keyDigest)
    this.#ended.add(rollout.id)
    for (const id of this.#ended) {
      if (this.#ended.size <= rememberedEnds) break
      this.#ended.delete(id)
    }
  }

  #timer(rollout: ServedRollout): NodeJS.Timeout {
    const { idleTimeout, onWarning } = this.options
    const timer = setTimeout(() => {
      const entry = this.#live.get(rollout.id)
      if (rollout.turnsUnderWay > 0 || entry?.ending) {
        timer.refresh()
        return
      }
      if (!entry) return
      if (entry.unrecorded === undefined) {
        this.#counts.idleRollouts++
        onWarning(`rollout "${rollout.id}" was given up: no request for ${idleTimeout / 1000} s`)
      }
      void this.#giveUp(entry)
    }, idleTimeout)
    return timer.unref()
  }

  /** Ends a rollout for which nobody asks: with its outcome where that is known and only could not be recorded. */
  async #giveUp({ rollout, unrecorded, ending }: Entry): Promise<void> {
    if (ending) return
    try {
      await (unrecorded === undefined ? this.abandon(rollout) : this.finish(rollout, unrecorded))
    } catch (error) {
      this.options.onWarning(`rollout "${rollout.id}": ${messageOf(error)}`)
    }
  }
}
