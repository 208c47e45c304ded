// Which error responses say that every other request would fail as well: a wrong key, model or address, credit that is used up.
import { isRecord } from '../core/is-record.js'

const wrongAccess = new Set([401, 402, 403, 404])

/** What services write into `code`, `type` or `status` of an error when an account may ask nothing more. */
const usedUp = new Set([
  'insufficient_quota', // OpenAI, with status 429
  'billing_hard_limit_reached', // OpenAI, with status 400 or 429
  'billing_not_active',
  'account_deactivated',
  'exceeded_current_quota_error', // Moonshot, with status 429
  'insufficient_balance',
  'arrearage', // Alibaba, with status 400
])

/** Words of services that refuse the text of one request, some of them with status 403. */
const aboutText = /moderation|content.?(policy|filter)|flagged/i

/** `body` is the text of the response. */
export function refusesAll(status: number, body: string): boolean {
  const words = errorWords(body)
  if (words.some((word) => usedUp.has(word.toLowerCase()))) return true
  if (!wrongAccess.has(status)) return false
  return !(status === 403 && aboutText.test(body))
}

/** The status of an error that a service sent with status 200, as some that pass requests on do; undefined where it is none. */
export function hiddenStatus(reply: unknown): number | undefined {
  if (!isRecord(reply) || !isRecord(reply.error) || 'choices' in reply) return undefined
  const { code } = reply.error
  return typeof code === 'number' && code >= 400 && code <= 599 ? code : undefined
}

function errorWords(body: string): string[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    return [] // many services describe their errors in plain text or HTML
  }
  const reply = Array.isArray(parsed) ? parsed[0] : parsed
  if (!isRecord(reply)) return []
  const error = isRecord(reply.error) ? reply.error : reply
  return [error.code, error.type, error.status].filter((word) => typeof word === 'string')
}
