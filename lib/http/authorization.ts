// Decides who is asking. Secrets are compared as digests, in constant time, and never written anywhere.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { ApiError } from './api-error.js'

const rolloutKeyPrefix = 'hdpo-rollout-'

/** A key that belongs to one rollout alone. */
export function createRolloutKey(): string {
  return rolloutKeyPrefix + randomBytes(32).toString('base64url')
}

export function digest(secret: string): string {
  return createHash('sha256').update(secret).digest('base64')
}

export interface Caller {
  /** The digest of a rollout's key, where the request came with one. */
  keyDigest: string | undefined
}

/** Throws ApiError 401. Where no token is set everybody may ask, and a key that is not a rollout's is ignored. */
export function authorize(authorization: string | null, token: string | undefined): Caller {
  const given = /^Bearer\s+(\S+)$/i.exec(authorization ?? '')?.[1]
  if (given?.startsWith(rolloutKeyPrefix)) return { keyDigest: digest(given) }
  if (token !== undefined && !(given !== undefined && sameSecret(given, token))) {
    throw new ApiError(401, 'a valid token is needed: Authorization: Bearer <token>', {
      code: 'invalid_api_key',
    })
  }
  return { keyDigest: undefined }
}

function sameSecret(given: string, token: string): boolean {
  const [a, b] = [given, token].map((secret) => createHash('sha256').update(secret).digest())
  return timingSafeEqual(a as Buffer, b as Buffer)
}
