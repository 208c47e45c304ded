// The dashboard's routes, from a web Request to a Response. None of them writes.
import { answer } from '../http/answer.js'
import { ApiError, apiErrorResponse } from '../http/api-error.js'
import { authorize } from '../http/authorization.js'
import type { FetchHandler } from '../http/node-listener.js'
import { configText, loadRunLoss } from '../run/store/run-loss.js'
import type { RolloutFilter } from '../run/store/run-store.js'
import { changeStream } from './change-stream.js'
import type { OpenRun } from './open-run.js'
import { pageFile } from './page-files.js'
import { runsExposition } from './run-exposition.js'
import { showTokens } from './token-view.js'
import type { UiContext } from './ui-context.js'

const cookieName = 'hdpo-ui'
// Milliseconds that a request waits for the newest data of a run to be indexed; then it answers with what there is.
const indexPatience = 300
const largestPage = 500

export function createUiHandler(context: UiContext): FetchHandler {
  return async (request) => {
    try {
      return await answer(request, 'GET', () => route(request, context))
    } catch (error) {
      const response = apiErrorResponse(error)
      if (response.status >= 500) context.warn(`${new URL(request.url).pathname}: ${(error as Error).stack}`)
      return response
    }
  }
}

async function route(request: Request, context: UiContext): Promise<Response> {
  const url = new URL(request.url)
  const login = logIn(url, context)
  if (login) return login
  authorize(request.headers.get('authorization') ?? cookieAuthorization(request), context.token)
  const page = pageFile(url.pathname)
  if (page) return page
  const api = routes[url.pathname]
  if (!api || !Object.hasOwn(routes, url.pathname))
    throw new ApiError(404, `there is no ${url.pathname} here`)
  return api(url.searchParams, context, request)
}

type Route = (query: URLSearchParams, context: UiContext, request: Request) => Promise<Response> | Response

const routes: Record<string, Route> = {
  '/api/runs': async (_query, { runs }) => {
    const found = await runs.fresh(indexPatience)
    return json({
      root: runs.root,
      runs: found.map((run) => ({ ...run.status(), config: configText(run.path) })),
    })
  },
  '/api/series': async (query, context) => {
    const run = await freshRun(query, context)
    const names = query.get('names')?.split(',')
    const after = wholeNumber(query, 'after') ?? 0
    return json(
      run.read((store) => ({
        series: store.series(names ?? store.metricNames(), after),
        lastStep: store.lastStep(),
      })),
    )
  },
  '/api/rollouts': async (query, context) => {
    const run = await freshRun(query, context)
    const filter = filterOf(query)
    const start = performance.now()
    const found = run.read((store) => ({ rows: store.rollouts(filter), count: store.count(filter) }))
    return json({ ...found, milliseconds: performance.now() - start })
  },
  '/api/rollout': async (query, context) => {
    const run = await freshRun(query, context)
    return json(rollout(run, wholeNumber(query, 'id') ?? 0))
  },
  '/api/events': (_query, context, request) => changeStream(context, request.signal),
  '/metrics': async (_query, { runs }) => {
    const found = await runs.fresh(indexPatience)
    return new Response(runsExposition(found), {
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    })
  },
}

async function freshRun(query: URLSearchParams, { runs }: UiContext): Promise<OpenRun> {
  const id = query.get('run') ?? ''
  const run = runs.get(id)
  if (!run) throw new ApiError(404, `run: there is no ${JSON.stringify(id)} under ${runs.root}`)
  await run.refresh(indexPatience)
  return run
}

function rollout(run: OpenRun, id: number): object {
  const stored = run.read((store) => store.rollout(id))
  if (!stored) throw new ApiError(404, `id: the run has no rollout ${id}`)
  const { row, sequences, ...texts } = stored
  const { algorithm, clip, ...weights } = loadRunLoss(run.path)
  const push = {
    accuracyAdvantage: row.accuracy_advantage ?? 0,
    efficiencyAdvantage: row.efficiency_advantage ?? 0,
    ...weights,
    clip,
  }
  const tokenizer = run.tokenizer()
  return {
    row,
    ...texts,
    algorithm,
    weights,
    ratios: sequences.some(({ trainingLogprobs }) => trainingLogprobs !== undefined),
    sequences: sequences.map((sequence) => showTokens(sequence, tokenizer, push)),
    group: run.read((store) => store.group(row.step, row.prompt)),
  }
}

function filterOf(query: URLSearchParams): RolloutFilter {
  const correct = query.get('correct')
  const numbers = {
    step: wholeNumber(query, 'step'),
    calls: wholeNumber(query, 'calls'),
    minimumCalls: wholeNumber(query, 'minimumCalls'),
    after: wholeNumber(query, 'after'),
  }
  const texts = { task: query.get('task') || undefined, search: query.get('search')?.trim() || undefined }
  return {
    ...Object.fromEntries(
      Object.entries({ ...numbers, ...texts }).filter(([, value]) => value !== undefined),
    ),
    ...(correct !== null && correct !== '' && { correct: correct === 'true' }),
    limit: Math.min(wholeNumber(query, 'limit') ?? 60, largestPage),
  }
}

function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null || text === '') return undefined
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new ApiError(400, `${name} must be a whole number of at least 0, got ${JSON.stringify(text)}`, {
      param: name,
    })
  }
  return value
}

/** /?token=... moves the token from the address to a cookie that scripts cannot read. */
function logIn(url: URL, { token }: UiContext): Response | undefined {
  const given = url.searchParams.get('token')
  if (url.pathname !== '/' || given === null || token === undefined) return undefined
  authorize(`Bearer ${given}`, token)
  return new Response(null, {
    status: 303,
    headers: {
      location: '/',
      'set-cookie': `${cookieName}=${encodeURIComponent(given)}; HttpOnly; SameSite=Strict; Path=/`,
    },
  })
}

function cookieAuthorization(request: Request): string | null {
  const cookies = (request.headers.get('cookie') ?? '').split(/;\s*/)
  const found = cookies.find((cookie) => cookie.startsWith(`${cookieName}=`))
  if (found === undefined) return null
  try {
    return `Bearer ${decodeURIComponent(found.slice(cookieName.length + 1))}`
  } catch {
    return null // not a token of ours: refused as a missing one is
  }
}

function json(value: object): Response {
  return Response.json(value, {
    headers: { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' },
  })
}
