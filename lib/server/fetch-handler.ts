// The server's routes as a function from a web Request to a Response, which every JavaScript web framework can embed.

import { isRecord } from '../core/is-record.js'
import { answer, decodePathPart } from '../http/answer.js'
import { ApiError, apiErrorResponse, invalid, toApiError } from '../http/api-error.js'
import { authorize, type Caller } from '../http/authorization.js'
import { eventStream } from '../http/event-stream.js'
import type { FetchHandler } from '../http/node-listener.js'
import { readJsonBody } from '../http/read-body.js'
import { Completion } from './completion.js'
import { type CompletionRequest, parseCompletionRequest } from './completion-request.js'
import { ResponseWriter, responseHeader } from './completion-response.js'
import { completionStream } from './completion-stream.js'
import type { HandlerContext } from './handler-context.js'
import { notHere } from './not-here.js'
import type { RolloutRegistry } from './rollout-registry.js'
import { rolloutRoutes } from './rollout-routes.js'
import type { ServedRollout } from './served-rollout.js'
import type { ResolvedServerOptions } from './server-options.js'

export function createFetchHandler(context: HandlerContext): FetchHandler {
  return async (request) => {
    try {
      return await route(request, context)
    } catch (error) {
      report(error, request, context)
      return apiErrorResponse(error)
    }
  }
}

async function route(request: Request, context: HandlerContext): Promise<Response> {
  const { pathname } = new URL(request.url)
  if (context.isClosing()) throw new ApiError(503, 'the server is closing', { code: 'closing' })
  if (pathname === '/health') return answer(request, 'GET', () => Response.json({ status: 'ok' }))
  const caller = authorize(request.headers.get('authorization'), context.options.token)
  if (pathname === '/v1/models')
    return answer(request, 'GET', () => Response.json({ object: 'list', data: models(context) }))
  if (pathname.startsWith('/v1/models/')) {
    return answer(request, 'GET', () => model(decodePathPart(pathname.slice('/v1/models/'.length)), context))
  }
  if (pathname === '/v1/chat/completions') {
    return answer(request, 'POST', () => complete(request, caller, context), context.options.allowedOrigins)
  }
  if (pathname.startsWith('/hdpo/')) return rolloutRoutes(request, pathname, caller, context)
  throw notHere(pathname)
}

async function complete(request: Request, caller: Caller, context: HandlerContext): Promise<Response> {
  const { options, policy, prompts, registry } = context
  const parsed = parseCompletionRequest(await readJsonBody(request, options.maxBodyBytes))
  if (![options.model, ...options.aliases].includes(parsed.model)) throw unknownModel(parsed.model, options)
  const rollout = rolloutOf(request, caller, parsed, registry)
  checkBias(parsed, policy.tokenizer.vocabSize)
  warnOfChanges(parsed, rollout, context)
  if (rollout) registry.touch(rollout)
  const active = context.active.begin(request)
  const end = () => {
    active.end()
    if (rollout) registry.touch(rollout)
  }
  try {
    const completion = new Completion(parsed, {
      policy,
      prompts,
      sampling: options.sampling,
      rollout,
      signal: active.signal,
    })
    if (completion.droppedThoughts > 0) {
      context.warn(
        'reasoning_content',
        "the thoughts of messages (reasoning_content) are left out, because the policy's chat template does not write them",
      )
    }
    const writer = new ResponseWriter(responseHeader(options.model), parsed, policy.tokenizer)
    if (!parsed.stream) {
      const choices = await completion.run()
      end()
      return Response.json(writer.completion(choices, completion))
    }
    const stream = completionStream(completion, writer, {
      includeUsage: parsed.includeUsage,
      choices: parsed.choices,
      cancel: () => active.abort(new ApiError(499, 'the client went away')),
      onError: (error) => report(error, request, context),
      onEnd: end,
    })
    return eventStream(stream)
  } catch (error) {
    end()
    throw error
  }
}

/** The rollout that a request belongs to, by key, header or metadata; these must not contradict each other. */
function rolloutOf(
  request: Request,
  { keyDigest }: Caller,
  { metadata }: CompletionRequest,
  registry: RolloutRegistry,
): ServedRollout | undefined {
  const byKey = keyDigest === undefined ? undefined : registry.byKey(keyDigest)
  const named = [request.headers.get('x-hdpo-rollout'), metadata.rollout].filter((id) => id != null)
  const ids = new Set([...(byKey ? [byKey.id] : []), ...(named as string[])])
  if (ids.size > 1) {
    throw new ApiError(
      400,
      `the request belongs to several rollouts: ${[...ids].map((id) => JSON.stringify(id)).join(', ')}`,
      {
        code: 'rollout_conflict',
      },
    )
  }
  const [id] = ids
  return id === undefined ? undefined : registry.byId(id)
}

function checkBias({ sampling: { logitBias } }: CompletionRequest, vocabSize: number): void {
  const biases = [...(logitBias ?? [])]
  const [unknown] = biases.find(([token]) => token >= vocabSize) ?? []
  if (unknown !== undefined) throw invalid(`logit_bias.${unknown}`, `the policy has ${vocabSize} tokens`)
  const banned = biases.filter(([, bias]) => bias === Number.NEGATIVE_INFINITY)
  if (banned.length === vocabSize) throw invalid('logit_bias', 'bans every token of the policy')
}

/** Warns, once per parameter, where a request asks for something that it does not get. */
function warnOfChanges(
  { notHonoured, sampling }: CompletionRequest,
  rollout: ServedRollout | undefined,
  { warn }: HandlerContext,
): void {
  for (const param of notHonoured) {
    warn(param, `${param} true is accepted, but nothing makes the policy keep to a tool's schema`)
  }
  const fixed: Record<string, unknown> = rollout?.definition.sampling ?? {}
  for (const [option, asked] of Object.entries(sampling)) {
    const used = fixed[option]
    if (used === undefined || used === asked) continue
    warn(
      option,
      `an agent asks for ${option} ${asked}, but its rollouts are sampled with ${used}, as training takes them to be`,
    )
  }
}

function models({ options, created }: HandlerContext): object[] {
  return [options.model, ...options.aliases].map((id) => ({ id, object: 'model', created, owned_by: 'hdpo' }))
}

function model(id: string, context: HandlerContext): Response {
  const found = models(context).find((described) => isRecord(described) && described.id === id)
  if (!found) throw unknownModel(id, context.options)
  return Response.json(found)
}

function unknownModel(id: string, { model: name, aliases }: ResolvedServerOptions): ApiError {
  const names = [name, ...aliases].join(', ')
  return new ApiError(
    404,
    `model: there is no ${JSON.stringify(id)} here; there is ${names}; another name is served by hdpo serve --alias, or createServer({ aliases })`,
    {
      param: 'model',
      code: 'model_not_found',
    },
  )
}

function withCause(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const text = error.stack ?? error.message
  return error.cause === undefined ? text : `${text}\nbecause of ${withCause(error.cause)}`
}

/** Reports errors of this process. Clients read their own mistakes in the response, and a client that left is no error. */
function report(error: unknown, request: Request, { options, isClosing }: HandlerContext): void {
  if (request.signal.aborted || isClosing() || toApiError(error).status < 500) return
  options.onWarning(`${request.method} ${new URL(request.url).pathname} failed: ${withCause(error)}`)
}
