// Says where to go, for addresses that other servers of OpenAI's API have.
import { ApiError } from '../http/api-error.js'

const responses =
  "the Responses API (OpenAI's SDK has client.chat.completions beside it, the AI SDK provider.chat)"
const others = "a part of OpenAI's API that this server does not have"

/** What the first part of a path after /v1 belongs to. */
const otherApis: Record<string, string> = {
  responses,
  conversations: responses,
  messages: "Anthropic's API",
  completions: others,
  embeddings: others,
  moderations: others,
  assistants: others,
  threads: others,
  images: others,
  audio: others,
  files: others,
  batches: others,
  realtime: others,
}

/** The error 404 for a path that no route has. */
export function notHere(pathname: string): ApiError {
  const tidy = pathname.replaceAll(/\/{2,}/g, '/').replace(/\/$/, '')
  const [, prefix = '', rest = ''] = /^((?:\/v1)*)\/(.*)$/.exec(tidy) ?? []
  const isNearly = rest === 'chat/completions' || rest === 'models'
  const hint = isNearly
    ? `: the base URL of clients ends in /v1, once${prefix === '/v1' ? ', and the path in no slash' : ''}`
    : aboutApi(rest)
  const goTo = rest === 'models' ? 'GET /v1/models' : 'POST /v1/chat/completions'
  return new ApiError(404, `there is no ${pathname} here${hint}; ask ${goTo}`, { code: 'unknown_url' })
}

function aboutApi(path: string): string {
  const [first = ''] = path.split('/')
  return Object.hasOwn(otherApis, first) ? `: it belongs to ${otherApis[first]}` : ''
}
