import { expect, it } from 'vitest'
import { hiddenStatus, refusesAll } from '../../lib/http/refusal.js'

const error = (fields: object) => JSON.stringify({ error: fields })

it.each([
  ['a wrong key', 401, error({ code: 'invalid_api_key' }), true],
  ['no credit (DeepSeek, OpenRouter)', 402, error({ message: 'Insufficient Balance' }), true],
  ['a key without the right', 403, 'forbidden', true],
  ['a wrong model or address', 404, '<html>not found</html>', true],
  ['a quota that is used up (OpenAI)', 429, error({ type: 'insufficient_quota', code: null }), true],
  ['the same by its code', 429, error({ code: 'insufficient_quota' }), true],
  ['a quota that is used up (Moonshot)', 429, error({ type: 'exceeded_current_quota_error' }), true],
  ['a limit of spending', 400, error({ code: 'billing_hard_limit_reached' }), true],
  ['no credit (Alibaba)', 400, JSON.stringify({ code: 'Arrearage', message: 'overdue' }), true],
  ['a text that moderation refuses (OpenRouter)', 403, error({ metadata: { reasons: ['flagged'] } }), false],
  ['a text that a filter refuses', 403, error({ code: 'content_filter' }), false],
  ['too many requests', 429, error({ code: 'rate_limit_exceeded', type: 'requests' }), false],
  ['too many requests (Gemini)', 429, JSON.stringify([{ error: { status: 'RESOURCE_EXHAUSTED' } }]), false],
  ['too much for one request', 400, error({ code: 'context_length_exceeded' }), false],
  ['a server that is down', 503, '', false],
  ['a number for a body', 429, '7', false],
  ['text that only mentions it', 500, 'insufficient_quota', false],
])('%s', (_, status, body, expected) => {
  expect(refusesAll(status, body)).toBe(expected)
})

it('finds the error in a good response', () => {
  expect(hiddenStatus({ error: { code: 402, message: 'no credit' } })).toBe(402)
  expect(hiddenStatus({ error: { code: 402 }, choices: [] })).toBeUndefined()
  expect(hiddenStatus({ error: { code: 'server_error' } })).toBeUndefined()
  expect(hiddenStatus({ choices: [] })).toBeUndefined()
  expect(hiddenStatus(null)).toBeUndefined()
})
