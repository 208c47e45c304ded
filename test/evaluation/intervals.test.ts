import { describe, expect, it } from 'vitest'
import { Random } from '../../lib/core/random.js'
import { quantile } from '../../lib/evaluation/bootstrap.js'
import { ratioInterval, wilson } from '../../lib/evaluation/intervals.js'

const shares = (values: number[]) => values.map((numerator) => ({ numerator, denominator: 1 }))

describe('wilson', () => {
  it('agrees with the published formula', () => {
    // Newcombe 1998, table I: 81 of 263, and 0 of 20.
    expect(wilson(81 / 263, 263).low).toBeCloseTo(0.2553, 4)
    expect(wilson(81 / 263, 263).high).toBeCloseTo(0.3662, 4)
    expect(wilson(0, 20).low).toBe(0)
    expect(wilson(0, 20).high).toBeCloseTo(0.1611, 4)
  })
})

describe('ratioInterval', () => {
  it('is a ratio of sums', () => {
    const sums = [
      { numerator: 3, denominator: 1 },
      { numerator: 1, denominator: 3 },
    ]
    expect(ratioInterval(sums, { share: false })?.value).toBe(1)
  })

  it('holds the true share in about 95 of 100 samples', () => {
    const random = new Random(5, 'coverage')
    let held = 0
    for (let trial = 0; trial < 200; trial++) {
      const sample = Array.from({ length: 80 }, () => Number(random.next() < 0.3))
      const interval = ratioInterval(shares(sample), { share: true })
      if (interval && interval.low <= 0.3 && 0.3 <= interval.high) held++
    }
    expect(held).toBeGreaterThanOrEqual(180)
    expect(held).toBeLessThanOrEqual(199)
  })

  it('does not take rollouts of one question for independent', () => {
    const questions = Array.from({ length: 25 }, (_, index) => index % 2)
    const once = ratioInterval(shares(questions), { share: true })
    const sixteenTimes = ratioInterval(
      questions.map((right) => ({ numerator: 16 * right, denominator: 16 })),
      { share: true },
    )
    expect(sixteenTimes).toEqual(once)
  })

  it('is no point where all agree', () => {
    const none = ratioInterval(shares([0, 0, 0, 0]), { share: true })
    expect(none?.value).toBe(0)
    expect(none?.high).toBeCloseTo(wilson(0, 4).high, 12)
    expect(none?.high).toBeGreaterThan(0.4)
  })

  it('has no bound where a resample may hold no right answer, and no value without any', () => {
    const calls = [
      { numerator: 2, denominator: 0 },
      { numerator: 1, denominator: 1 },
    ]
    expect(ratioInterval(calls, { share: false })).toMatchObject({ value: 3, high: Number.POSITIVE_INFINITY })
    expect(ratioInterval([{ numerator: 2, denominator: 0 }], { share: false })).toBeUndefined()
    expect(ratioInterval([], { share: true })).toBeUndefined()
  })
})

it('quantile is the nearest rank', () => {
  const values = [1, 2, 3, 4]
  expect([0, 0.25, 0.5, 0.95, 1].map((share) => quantile(values, share))).toEqual([1, 1, 2, 4, 4])
})
