// Errors in the form of OpenAI's API: an HTTP status and { error: { message, type, param, code } }. Clients of that API read
// `code` and decide by the status whether to retry.
import { HdpoError } from '../core/errors.js'

interface ApiErrorDetails {
  /** The wrong parameter, e.g. 'messages[2].role'. */
  param?: string
  code?: string
  /** Headers of the response besides its content type. */
  headers?: Record<string, string>
  /** What is behind it, which the client is not told. */
  cause?: unknown
}

export class ApiError extends Error {
  readonly param: string | null
  readonly code: string | null
  readonly headers: Record<string, string>

  constructor(
    readonly status: number,
    message: string,
    { param, code, headers = {}, cause }: ApiErrorDetails = {},
  ) {
    super(shortened(message, 1000), cause === undefined ? {} : { cause })
    this.name = 'ApiError'
    this.param = param === undefined ? null : shortened(param, 200)
    this.code = code ?? null
    this.headers = headers
  }

  toJSON(): object {
    const { message, param, code, status } = this
    return { error: { message, type: errorType(status), param, code } }
  }
}

/** What a client sent stands in many messages, and may be megabytes of text. */
function shortened(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}...` : text
}

/** The error for a request with a wrong or unsupported parameter. */
export function invalid(param: string, message: string, code?: string): ApiError {
  return new ApiError(400, `${param}: ${message}`, { param, ...(code !== undefined && { code }) })
}

// Errors from below the server that the request itself caused.
const requestErrors = new Set(['ERR_CHAT_TEMPLATE', 'ERR_TOOL_CHOICE', 'ERR_KV_BUDGET', 'ERR_NO_COMPLETION'])

/** Turns anything thrown while answering into an ApiError. Messages of internal errors are kept out of the response. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  if (error instanceof HdpoError && requestErrors.has(error.code)) {
    return new ApiError(400, error.message, { code: error.code })
  }
  const code = error instanceof HdpoError ? error.code : 'internal_error'
  return new ApiError(500, 'The server failed to answer; its log says why.', { code })
}

export function apiErrorResponse(error: unknown): Response {
  const described = toApiError(error)
  const { status, headers } = described
  return Response.json(described, {
    status,
    headers: { ...headers, ...(status === 401 && { 'www-authenticate': 'Bearer' }) },
  })
}

function errorType(status: number): string {
  if (status === 401) return 'authentication_error'
  if (status === 403) return 'permission_error'
  if (status === 404) return 'not_found_error'
  if (status === 429) return 'rate_limit_error'
  return status >= 500 ? 'server_error' : 'invalid_request_error'
}
