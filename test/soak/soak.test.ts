import { describe, expect, it } from 'vitest'
import { slopes } from './flat.js'
import { type Held, soak } from './soak.js'

const minutes = 60_000

describe('a server that clients of every kind use while its policy is trained', () => {
  it('holds nothing once they have left', { timeout: 10 * minutes }, async () => {
    const result = await soak({ seed: 1, rolloutsPerRound: 90, goesOn: () => false })
    expect(result.unexpected).toEqual([])
    expect(Object.values(result.played)).toEqual(Array(9).fill(10))
    expect(result.trainedRollouts).toBeGreaterThan(20)
    const { filesBefore } = result.end
    expect(result.end).toEqual({ sequences: 0, kv: 0, liveRollouts: 0, files: filesBefore, filesBefore })
  })
})

describe('slopes', () => {
  const flat = {
    minutes: 0,
    rss: 2e8,
    heap: 3e7,
    external: 4e6,
    arrayBuffers: 1e6,
    kv: 0,
    sequences: 64,
    files: 31,
    handles: 20,
  }
  const measured = (grow: (index: number) => Partial<Held>) =>
    Array.from(
      { length: 30 },
      (_, index): Held => ({ ...flat, rollouts: 1000 * (index + 1), ...grow(index) }),
    )
  const failing = (held: Held[]) =>
    slopes(held)
      .filter((slope) => !slope.flat)
      .map(({ name }) => name)
  const noise = (index: number) => ((index * 7919) % 13) - 6

  it('tell a leak of one record per rollout from noise', () => {
    expect(failing(measured((index) => ({ heap: flat.heap + noise(index) * 1e6 })))).toEqual([])
    expect(failing(measured((index) => ({ heap: flat.heap + noise(index) * 1e5 + index * 2e6 })))).toEqual([
      'heap',
    ])
    expect(failing(measured((index) => ({ files: 31 + index })))).toEqual(['files'])
  })

  it('leave out the warm-up', () => {
    expect(failing(measured((index) => ({ rss: index < 10 ? 1e8 + index * 1e7 : 2e8 })))).toEqual([])
  })

  it('say nothing about a run that is too short', () => {
    expect(slopes(measured(() => ({})).slice(0, 6))).toEqual([])
  })
})
