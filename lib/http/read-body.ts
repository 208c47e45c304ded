import { JsonRefusal, jsonProblem, parseJson } from '../core/exact-json.js'
import { ApiError } from './api-error.js'

/** Parses the JSON body of a request. It reads at most `limit` bytes. */
export async function readJsonBody(request: Request, limit: number): Promise<unknown> {
  const type = request.headers.get('content-type') ?? ''
  // This also refuses HTML forms, which a web page could post without a CORS preflight.
  if (!/^application\/json[ \t]*(?:;|$)/i.test(type)) {
    throw new ApiError(
      415,
      `content-type must be application/json, got ${JSON.stringify(type.slice(0, 200))}`,
    )
  }
  const encoding = request.headers.get('content-encoding') ?? 'identity'
  if (encoding.toLowerCase() !== 'identity') {
    throw new ApiError(
      415,
      `content-encoding must be left out, got ${JSON.stringify(encoding.slice(0, 200))}`,
    )
  }
  return parseBody(await readBytes(request, limit))
}

function parseBody(bytes: Uint8Array): unknown {
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    // The decoder throws a TypeError for bytes that are no UTF-8.
    const problem = error instanceof TypeError ? `not JSON: ${error.message}` : jsonProblem(error)
    const param = error instanceof JsonRefusal && error.path !== '' ? error.path : undefined
    throw new ApiError(400, param === undefined ? `the body is ${problem}` : problem, {
      ...(param !== undefined && { param }),
    })
  }
}

async function readBytes(request: Request, limit: number): Promise<Uint8Array> {
  const declared = Number(request.headers.get('content-length') ?? 0)
  if (declared > limit) throw tooLarge(limit)
  const chunks: Uint8Array[] = []
  let size = 0
  if (request.body) {
    for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength
      if (size > limit) throw tooLarge(limit)
      chunks.push(chunk)
    }
  }
  return Buffer.concat(chunks)
}

function tooLarge(limit: number): ApiError {
  return new ApiError(413, `the body has more than ${limit} bytes`, { code: 'body_too_large' })
}
