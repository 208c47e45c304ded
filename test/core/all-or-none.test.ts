import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { allOrNone } from '../../lib/core/all-or-none.js'

describe('allOrNone', () => {
  it('gives results in order', async () => {
    const results = await allOrNone(3, [], async (index) => {
      await sleep(10 - 4 * index)
      return index
    })
    expect(results).toEqual([0, 1, 2])
  })

  it('stops the others where one rejects, waits for them, and rejects with the first', async () => {
    const ended: number[] = []
    const work = allOrNone(3, [undefined], async (index, stop) => {
      if (index === 1) throw new Error('the second failed')
      await sleep(10_000, undefined, { signal: stop }).catch(() => sleep(5))
      ended.push(index)
      throw new Error('stopped')
    })
    await expect(work).rejects.toThrow('the second failed')
    expect(ended).toEqual([0, 2])
  })

  it('stops all with the signal', async () => {
    const run = new AbortController()
    const work = allOrNone(2, [run.signal], async (_, stop) => {
      await sleep(10_000, undefined, { signal: stop })
    })
    run.abort(new Error('the run is over'))
    await expect(work).rejects.toMatchObject({ cause: { message: 'the run is over' } })
  })
})
