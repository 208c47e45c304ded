// Routes that accept one method.
import { ApiError } from './api-error.js'
import { refuseForeignPage } from './foreign-page.js'

/**
 * Answers with what `work` makes of the request. A GET route takes HEAD as well; a POST route, which may change something, refuses
 * pages of origins other than the server's own and `allowedOrigins`. Throws ApiError 405 for other methods, 403 for such a page.
 */
export async function answer(
  request: Request,
  method: 'GET' | 'POST',
  work: () => Response | Promise<Response>,
  allowedOrigins: readonly string[] = [],
): Promise<Response> {
  if (method === 'GET' && request.method === 'HEAD') return withoutBody(await work())
  if (request.method !== method) {
    throw new ApiError(405, `${new URL(request.url).pathname} takes ${method}, got ${request.method}`, {
      headers: { allow: method === 'GET' ? 'GET, HEAD' : method },
    })
  }
  if (method === 'POST') refuseForeignPage(request, allowedOrigins)
  return work()
}

async function withoutBody(response: Response): Promise<Response> {
  const { status, headers } = response
  await response.body?.cancel()
  return new Response(null, { status, headers })
}

/** The text of a part of a path. Throws ApiError 400 where its percent-encoding is malformed. */
export function decodePathPart(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new ApiError(400, `path: ${JSON.stringify(part.slice(0, 80))} is no percent-encoded UTF-8`, {
      param: 'path',
    })
  }
}
