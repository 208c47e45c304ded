import { describe, expect, it } from 'vitest'
import { firstDifference } from '../../lib/run/run-identity.js'

const was = { seed: 0, optimizer: { learningRate: 0.1, beta1: 0.9 }, loss: {}, stop: ['a', 'b'] }

describe('firstDifference', () => {
  it('finds none in another order of keys, nor in keys that hold undefined', () => {
    const is = {
      stop: ['a', 'b'],
      loss: { clipLow: undefined },
      optimizer: { beta1: 0.9, learningRate: 0.1 },
      seed: 0,
    }
    expect(firstDifference(was, is)).toBeUndefined()
  })
  it.each([
    [
      { ...was, seed: 1 },
      { name: 'seed', was: '0', is: '1' },
    ],
    [
      { ...was, optimizer: { learningRate: 0.1, beta1: 0.95 } },
      { name: 'optimizer.beta1', was: '0.9', is: '0.95' },
    ],
    [
      { ...was, stop: ['b', 'a'] },
      { name: 'stop', was: '["a","b"]', is: '["b","a"]' },
    ],
    [
      { ...was, tools: 'f00d' },
      { name: 'tools', was: 'not there', is: '"f00d"' },
    ],
    [
      { seed: 0, loss: {}, stop: was.stop },
      { name: 'optimizer', was: JSON.stringify(was.optimizer), is: 'not there' },
    ],
  ])('names what differs in %o', (is, difference) => {
    expect(firstDifference(was, is)).toEqual(difference)
  })
})
