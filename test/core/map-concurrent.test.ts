import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { mapConcurrent } from '../../lib/core/map-concurrent.js'

it('keeps the order and the limit', async () => {
  let running = 0
  let most = 0
  const results = await mapConcurrent([30, 1, 20, 5], 2, async (milliseconds, index) => {
    most = Math.max(most, ++running)
    await sleep(milliseconds)
    running--
    return index
  })
  expect(results).toEqual([0, 1, 2, 3])
  expect(most).toBe(2)
})

it('rejects with the first failure and starts nothing after it', async () => {
  const started: number[] = []
  const work = mapConcurrent([0, 1, 2, 3], 1, async (item) => {
    started.push(item)
    if (item === 1) throw new Error('one failed')
  })
  await expect(work).rejects.toThrow('one failed')
  expect(started).toEqual([0, 1])
})
