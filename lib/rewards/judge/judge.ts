// A language model as a judge, behind any OpenAI-compatible endpoint. It either decides or says why it cannot; it never guesses.

import pLimit, { type LimitFunction } from 'p-limit'
import { cacheKey } from '../../core/folder-cache.js'
import { isRecord } from '../../core/is-record.js'
import { messageOf } from '../../core/message-of.js'
import type { OptionMistake } from '../../core/option-error.js'
import {
  type ChatCompletion,
  excerpt,
  noCompletion,
  readCompletion,
  tokenCount,
} from '../../http/chat-reply.js'
import { AttemptError, endpointRefusal, fetchWithRetries } from '../../http/fetch-with-retries.js'
import { replyContent } from '../../policy/messages/read-reply.js'
import { type Agreement, AgreementCount } from './agreement.js'
import { type JudgeOptions, type ResolvedJudgeOptions, resolveJudgeOptions } from './options.js'
import { parseVerdict, type Verdict } from './verdict.js'

interface ChatMessage {
  role: 'system' | 'user'
  content: string
}

type Decision =
  | { kind: 'decided'; correct: boolean; votes: readonly Verdict[] }
  /** Too few votes came back, or they are split: `reason` says which. */
  | { kind: 'undecided'; reason: string }

export interface JudgeStatistics {
  /** Questions put to the judge. */
  asked: number
  decided: number
  undecided: number
  /** HTTP requests that were answered with a verdict. */
  requests: number
  /** Failed attempts that were repeated. */
  retries: number
  /** Votes whose requests failed for good. */
  failedVotes: number
  cachedVotes: number
  /** Tokens as the endpoint reports them. */
  promptTokens: number
  completionTokens: number
  agreement: Agreement
}

export class Judge {
  readonly #options: ResolvedJudgeOptions
  readonly #limit: LimitFunction
  readonly #agreement = new AgreementCount()
  /** Votes under way: the same question at the same time is one request. */
  readonly #underWay = new Map<string, Promise<Verdict>>()
  readonly #counts = {
    asked: 0,
    decided: 0,
    undecided: 0,
    requests: 0,
    retries: 0,
    failedVotes: 0,
    cachedVotes: 0,
    promptTokens: 0,
    completionTokens: 0,
  }

  constructor(options: JudgeOptions) {
    this.#options = resolveJudgeOptions(options)
    this.#limit = pLimit(this.#options.concurrency)
  }

  /**
   * Decided if more than half of all votes agree; failed votes count among all. Rejects with ERR_ENDPOINT where every other
   * question would fail too: a wrong key, model or address, credit that is used up.
   */
  async decide(messages: readonly ChatMessage[]): Promise<Decision> {
    const { votes: wanted } = this.#options
    const results = await Promise.allSettled(
      Array.from({ length: wanted }, (_, vote) => this.#vote(messages, vote)),
    )
    const votes = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    const failures = results.flatMap((result) =>
      result.status === 'rejected' ? [messageOf(result.reason)] : [],
    )
    this.#counts.asked++
    this.#counts.failedVotes += failures.length
    this.#agreement.add(votes.map(({ correct }) => correct))
    const correct = votes.filter((vote) => vote.correct).length
    const majority = Math.max(correct, votes.length - correct)
    if (majority * 2 > wanted) {
      this.#counts.decided++
      return { kind: 'decided', correct: correct === majority, votes }
    }
    const refused = results.find(isRefusal)
    if (refused) throw endpointRefusal('the judge', refused.reason)
    this.#counts.undecided++
    const split = `the judge's ${wanted} votes have no majority: ${correct} correct, ${votes.length - correct} wrong`
    return {
      kind: 'undecided',
      reason: failures[0] === undefined ? split : `the judge failed: ${failures[0]}`,
    }
  }

  get statistics(): JudgeStatistics {
    return { ...this.#counts, agreement: this.#agreement.result }
  }

  async #vote(messages: readonly ChatMessage[], vote: number): Promise<Verdict> {
    const { url, model, body, cache } = this.#options
    const request = { model, messages, ...body }
    const key = cacheKey(url, request, vote)
    const underWay = this.#underWay.get(key)
    if (underWay) {
      this.#counts.cachedVotes++
      return underWay
    }
    const asking = this.#askOnce(key, request).finally(() => this.#underWay.delete(key))
    if (cache) this.#underWay.set(key, asking)
    return asking
  }

  async #askOnce(key: string, request: object): Promise<Verdict> {
    const { cache } = this.#options
    const kept = await cache?.read(key)
    if (kept) {
      this.#counts.cachedVotes++
      return kept
    }
    const verdict = await this.#limit(() => this.#ask(request))
    await cache?.write(key, verdict)
    return verdict
  }

  async #ask(request: object): Promise<Verdict> {
    const { url, headers, retry } = this.#options
    const init = { method: 'POST', headers, body: JSON.stringify(request) }
    const { verdict, usage } = await fetchWithRetries(url, init, readVerdict, {
      ...retry,
      onRetry: () => this.#counts.retries++,
    })
    this.#counts.requests++
    this.#counts.promptTokens += tokenCount(usage?.prompt_tokens)
    this.#counts.completionTokens += tokenCount(usage?.completion_tokens)
    return verdict
  }
}

function isRefusal(
  result: PromiseSettledResult<Verdict>,
): result is PromiseRejectedResult & { reason: AttemptError } {
  return result.status === 'rejected' && result.reason instanceof AttemptError && result.reason.refusesAll
}

/** A reply without a verdict is tried again, because the judge samples and may answer differently. */
async function readVerdict(
  response: Response,
): Promise<{ verdict: Verdict; usage: ChatCompletion['usage'] }> {
  const { completion, text } = await readCompletion(response)
  const message = completion?.choices?.[0]?.message
  const fail = (mistake: OptionMistake): never => noCompletion(mistake, text)
  if (!isRecord(message)) return fail({ option: 'message', expected: 'an object', given: message })
  const content = replyContent(message, fail).text
  const verdict = parseVerdict(content)
  if (!verdict) throw new AttemptError(`the reply is no verdict: ${excerpt(content)}`, false)
  return { verdict, usage: completion?.usage }
}
