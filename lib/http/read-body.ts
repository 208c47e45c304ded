import { JsonRefusal, parseJson } from '../core/exact-json.js'
import { ApiError } from './api-error.js'

/** Parses the JSON body of a request. It reads at most `limit` bytes. */
export async function readJsonBody(request: Request, limit: number): Promise<unknown> {
  const type = request.headers.get('content-type') ?? ''
  // This also refuses HTML forms, which a web page could post without a CORS preflight.
  if (!/^application\/json\b/i.test(type)) {
    throw new ApiError(415, `content-type must be application/json, got ${JSON.stringify(type)}`)
  }
  const bytes = await readBytes(request, limit)
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    if (error instanceof JsonRefusal) {
      throw new ApiError(400, error.message, error.path === '' ? {} : { param: error.path })
    }
    throw new ApiError(400, `the body is not JSON: ${(error as Error).message}`)
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
