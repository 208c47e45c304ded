import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { withStopSignal } from '../../lib/core/stop-signal.js'

const untilAborted = (signal: AbortSignal) =>
  new Promise<unknown>((resolve) => signal.addEventListener('abort', () => resolve(signal.reason)))

describe('withStopSignal', () => {
  it("is aborted by any of its sources, with that one's reason", async () => {
    const [run, group] = [new AbortController(), new AbortController()]
    const reason = withStopSignal([run.signal, undefined, group.signal], untilAborted)
    group.abort('the group failed')
    expect(await reason).toBe('the group failed')
  })

  it('is aborted from the start where a source is', async () => {
    await withStopSignal([AbortSignal.abort('before')], async (stop) => {
      expect(stop.aborted).toBe(true)
      expect(stop.reason).toBe('before')
    })
  })

  it('keeps one listener on a source that many follow, and none when the last has ended', async () => {
    const { signal } = new AbortController()
    const ends: (() => void)[] = []
    const work = Array.from({ length: 50 }, () =>
      withStopSignal([signal], () => new Promise<void>((resolve) => ends.push(resolve))),
    )
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    for (const end of ends) end()
    await Promise.all(work)
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  it('leaves its sources when the work throws', async () => {
    const { signal } = new AbortController()
    await expect(withStopSignal([signal], () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  it('aborts everyone who follows', async () => {
    const run = new AbortController()
    const reasons = Array.from({ length: 20 }, () => withStopSignal([run.signal], untilAborted))
    run.abort('stop')
    expect(new Set(await Promise.all(reasons))).toEqual(new Set(['stop']))
  })
})
