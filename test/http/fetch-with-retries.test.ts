import { expect, it } from 'vitest'
import { fetchWithRetries, retryAfter } from '../../lib/http/fetch-with-retries.js'
import { MisbehavingEndpoint, send } from '../rewards/misbehaving-endpoint.js'

it('reads Retry-After as seconds or a date', () => {
  const now = Date.parse('Wed, 21 Oct 2026 07:28:00 GMT')
  expect(retryAfter('3', now)).toBe(3000)
  expect(retryAfter('Wed, 21 Oct 2026 07:28:30 GMT', now)).toBe(30_000)
  expect(retryAfter('Wed, 21 Oct 2026 07:00:00 GMT', now)).toBe(0)
  expect(retryAfter('soon', now)).toBeUndefined()
  expect(retryAfter(null, now)).toBeUndefined()
})

it('stops waiting and asking when it is aborted', async () => {
  const endpoint = await MisbehavingEndpoint.start((response) => send(response, 503, ''))
  try {
    const controller = new AbortController()
    const options = { signal: controller.signal, minimumDelay: 60_000, maximumDelay: 60_000 }
    const asking = fetchWithRetries(
      endpoint.baseURL,
      { method: 'POST', body: '{}' },
      (response) => response.text(),
      {
        ...options,
        onRetry: () => controller.abort(new Error('stopped by the test')),
      },
    )
    await expect(asking).rejects.toThrow()
    expect(endpoint.requests).toHaveLength(1)
    const late = fetchWithRetries(endpoint.baseURL, {}, (response) => response.text(), options)
    await expect(late).rejects.toThrow('stopped by the test')
    expect(endpoint.requests).toHaveLength(1)
  } finally {
    await endpoint.stop()
  }
})

it('passes on what is no failure of the network', async () => {
  const endpoint = await MisbehavingEndpoint.start((response) => send(response, 200, '{}'))
  try {
    const read = async () => {
      throw new RangeError('a bug in the reader')
    }
    await expect(fetchWithRetries(endpoint.baseURL, { method: 'POST', body: '{}' }, read)).rejects.toThrow(
      RangeError,
    )
    expect(endpoint.requests).toHaveLength(1)
  } finally {
    await endpoint.stop()
  }
})
