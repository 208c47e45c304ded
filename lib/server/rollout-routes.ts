// Rollouts over HTTP, for agents in other languages:
//   POST /hdpo/rollouts              { id?, task?, metadata?, ...limits } -> { id, apiKey, baseURL }
//   POST /hdpo/rollouts/:id/finish   { correct?, reward?, answer? }       -> what became of it
//   POST /hdpo/rollouts/:id/abandon  {}
//   GET  /hdpo/metrics
import { z } from 'zod'
import { InvalidOptionError } from '../core/option-error.js'
import { answer, decodePathPart } from '../http/answer.js'
import { ApiError } from '../http/api-error.js'
import type { Caller } from '../http/authorization.js'
import { readJsonBody } from '../http/read-body.js'
import { checkOutcome } from '../rollout/outcome.js'
import { tokenSequences } from '../rollout/token-sequences.js'
import type { Outcome } from '../rollout/types.js'
import { checkBody } from './check-body.js'
import type { HandlerContext } from './handler-context.js'
import { notHere } from './not-here.js'
import type { ServedRollout } from './served-rollout.js'

const startSchema = z.strictObject({
  id: z
    .string()
    .regex(
      /^(?!\.{1,2}$)[\w.:#-]{1,128}$/,
      'must be 1 to 128 of a-z, A-Z, 0-9, _, -, ., : and #, more than dots',
    )
    .exactOptional(),
  /** The task's id: rollouts of one task are compared with each other. Default: the rollout's id. */
  task: z.string().min(1).max(256).exactOptional(),
  metadata: z.record(z.string(), z.unknown()).exactOptional(),
  maxTokens: z.int().min(1).exactOptional(),
  maxTurnTokens: z.int().min(1).exactOptional(),
  temperature: z.number().gt(0).max(100).exactOptional(),
  seed: z.int().min(0).exactOptional(),
})

export async function rolloutRoutes(
  request: Request,
  pathname: string,
  caller: Caller,
  context: HandlerContext,
): Promise<Response> {
  const { allowedOrigins } = context.options
  if (pathname === '/hdpo/metrics') {
    requireToken(caller)
    return answer(request, 'GET', () => Response.json(context.registry.metrics))
  }
  if (pathname === '/hdpo/rollouts') {
    requireToken(caller)
    return answer(request, 'POST', () => start(request, context), allowedOrigins)
  }
  const [, id, action] = /^\/hdpo\/rollouts\/([^/]+)\/(finish|abandon)$/.exec(pathname) ?? []
  if (id === undefined) throw notHere(pathname)
  const rollout = ownRollout(decodePathPart(id), caller, context)
  return answer(
    request,
    'POST',
    () => (action === 'finish' ? finish(request, rollout, context) : abandon(rollout, context)),
    allowedOrigins,
  )
}

async function start(request: Request, { options, registry, baseURL }: HandlerContext): Promise<Response> {
  const body = checkBody(startSchema, await readJsonBody(request, options.maxBodyBytes))
  const { id = crypto.randomUUID(), task = id, metadata, temperature, seed, ...limits } = body
  const { apiKey } = registry.start({
    id,
    task: { id: task, ...(metadata && { metadata }) },
    toolChoice: 'auto',
    ...limits,
    sampling: { ...(temperature !== undefined && { temperature }), ...(seed !== undefined && { seed }) },
  })
  return Response.json({ id, task, apiKey, baseURL: baseURL() }, { status: 201 })
}

async function finish(
  request: Request,
  rollout: ServedRollout,
  { options, registry }: HandlerContext,
): Promise<Response> {
  const outcome = readOutcome(await readJsonBody(request, options.maxBodyBytes))
  const played = await registry.finish(rollout, outcome)
  const sequences = tokenSequences(played)
  return Response.json({
    id: played.id,
    task: played.taskId,
    toolCalls: played.toolCalls.length,
    turns: played.turns,
    segments: sequences.length,
    sampledTokens: sequences.reduce((sum, { mask }) => sum + mask.reduce((count, bit) => count + bit, 0), 0),
    end: played.end,
  })
}

function readOutcome(body: unknown): Outcome {
  try {
    return checkOutcome(body)
  } catch (error) {
    if (!(error instanceof InvalidOptionError)) throw error
    throw new ApiError(400, error.message, { param: error.option.replace(/^outcome\.?/, '') || 'body' })
  }
}

async function abandon(rollout: ServedRollout, { registry }: HandlerContext): Promise<Response> {
  await registry.abandon(rollout)
  return Response.json({ id: rollout.id })
}

/** A rollout's key gives access to that rollout only. */
function ownRollout(id: string, { keyDigest }: Caller, { registry }: HandlerContext): ServedRollout {
  const rollout = registry.byId(id)
  if (keyDigest !== undefined && registry.byKey(keyDigest) !== rollout) {
    throw new ApiError(403, `the key is not that of rollout ${JSON.stringify(id)}`)
  }
  return rollout
}

function requireToken({ keyDigest }: Caller): void {
  if (keyDigest !== undefined) throw new ApiError(403, "this needs the server's token, not a rollout's key")
}
