import { describe, expect, it } from 'vitest'
import { permutation } from '../../lib/core/permutation.js'
import { deriveSeed } from '../../lib/core/seed.js'
import { PromptOrder } from '../../lib/trainer/prompt-order.js'

describe('PromptOrder', () => {
  it('asks every example once an epoch, in another order each epoch', () => {
    const order = new PromptOrder(20, 3)
    const epoch = (number: number) =>
      Array.from({ length: 5 }, (_, index) => order.batch(number * 5 + index + 1, 4)).flat()
    const [first, second] = [epoch(0), epoch(1)]
    const everything = Array.from({ length: 20 }, (_, index) => index)
    expect([...first].sort((a, b) => a - b)).toEqual(everything)
    expect([...second].sort((a, b) => a - b)).toEqual(everything)
    expect(first).not.toEqual(second)
  })

  it('gives a step the same examples whatever was asked before', () => {
    const walked = new PromptOrder(7, 11)
    const batches = Array.from({ length: 12 }, (_, index) => walked.batch(index + 1, 3))
    expect(new PromptOrder(7, 11).batch(9, 3)).toEqual(batches[8])
    expect(new PromptOrder(7, 12).batch(9, 3)).not.toEqual(batches[8])
  })

  it('counts epochs from 0', () => {
    const order = new PromptOrder(8, 0)
    expect([1, 2, 3].map((step) => order.epoch(step, 4))).toEqual([0, 0, 1])
  })

  it('refuses an empty data set', () => {
    expect(() => new PromptOrder(0, 0)).toThrow('an order of 0 examples')
  })
})

describe('permutation', () => {
  it('puts each number first about equally often', () => {
    const first = new Array<number>(5).fill(0)
    for (let seed = 0; seed < 5000; seed++)
      (first[permutation(5, deriveSeed(seed)).at(0) as number] as number)++
    for (const count of first) expect(Math.abs(count - 1000)).toBeLessThan(120)
  })
})
