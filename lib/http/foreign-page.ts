// Keeps web pages of other origins from asking a server on the machine of whoever looks at them. A browser sends a page's POST
// even where it does not let the page read the answer, so that what the request does would be done. Programs send neither of the
// headers that are looked at here.
import { ApiError } from './api-error.js'

/** Throws ApiError 403 for a request that a browser sent for a page of an origin other than the server's own or an allowed one. */
export function refuseForeignPage(request: Request, allowedOrigins: readonly string[]): void {
  const origin = request.headers.get('origin')
  const site = request.headers.get('sec-fetch-site')
  if (origin !== null && allowedOrigins.includes(origin)) return
  // 'none': the user's own doing. A page can neither set nor change this header; old browsers do not send it.
  if (site === 'same-origin' || site === 'none') return
  if (site === null && (origin === null || hostOf(origin) === new URL(request.url).host)) return
  const page =
    origin === null ? 'a page of another origin' : `a page of ${JSON.stringify(origin.slice(0, 200))}`
  throw new ApiError(403, `requests of ${page} are refused; allowedOrigins lets an origin in`, {
    code: 'foreign_origin',
  })
}

/** Undefined for 'null', which browsers send for pages that have no origin of their own. Http and https are taken to be one. */
function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}
