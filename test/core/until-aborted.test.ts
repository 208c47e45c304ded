import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { untilAborted } from '../../lib/core/until-aborted.js'

describe('untilAborted', () => {
  it('is what the work gives, and leaves no listener behind', async () => {
    const { signal } = new AbortController()
    expect(await untilAborted(signal, async () => 7)).toBe(7)
    await expect(
      untilAborted(signal, () => {
        throw new Error('at once')
      }),
    ).rejects.toThrow('at once')
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  it("rejects with the signal's reason, whatever comes of the work", async () => {
    const controller = new AbortController()
    let fail: (error: Error) => void = () => {}
    const work = new Promise<never>((_, reject) => {
      fail = reject
    })
    const waiting = untilAborted(controller.signal, () => work)
    controller.abort(new Error('too late'))
    await expect(waiting).rejects.toThrow('too late')
    fail(new Error('nobody is told'))
  })

  it('does not begin what is aborted already', async () => {
    let begun = false
    const work = untilAborted(AbortSignal.abort(new Error('before')), () => {
      begun = true
    })
    await expect(work).rejects.toThrow('before')
    expect(begun).toBe(false)
  })
})
