import { describe, expect, it } from 'vitest'
import { Forecast } from '../../../lib/experiment/quickstart/forecast.js'

const stages = [
  { name: 'short', seconds: 10 },
  { name: 'long', seconds: 100 },
]

function started() {
  const clock = { seconds: 1000 }
  return { clock, forecast: new Forecast(stages, () => clock.seconds) }
}

describe('Forecast', () => {
  it('is the sum of the guesses before anything has run', () => {
    expect(started().forecast.remaining).toBe(110)
  })

  it('counts down where the guesses are right', () => {
    const { forecast, clock } = started()
    forecast.begin('short')
    clock.seconds += 4
    forecast.reached(0.4)
    expect(forecast.remaining).toBeCloseTo(106)
    clock.seconds += 6
    forecast.begin('long')
    expect(forecast.remaining).toBeCloseTo(100)
    clock.seconds += 50
    forecast.reached(0.5)
    expect(forecast.remaining).toBeCloseTo(50)
  })

  it('scales what is ahead by what was taken', () => {
    const { forecast, clock } = started()
    forecast.begin('short')
    clock.seconds += 30
    forecast.begin('long')
    // It is three times as slow as guessed, and the forecast still gives the guess some weight.
    expect(forecast.remaining).toBeGreaterThan(200)
    expect(forecast.remaining).toBeLessThan(300)
    for (let step = 1; step < 10; step++) {
      clock.seconds += 30
      forecast.reached(step / 10)
    }
    expect(forecast.remaining).toBeGreaterThan(27)
    expect(forecast.remaining).toBeLessThan(33)
    clock.seconds += 30
    forecast.end()
    expect(forecast.remaining).toBe(0)
  })

  it('takes neither getting ready nor what an earlier process did of a stage for its pace', () => {
    const { forecast, clock } = started()
    forecast.begin('long')
    clock.seconds += 60
    forecast.skip(0.5)
    expect(forecast.remaining).toBeCloseTo(10 + 50)
    clock.seconds += 10
    forecast.reached(0.6)
    expect(forecast.remaining).toBeCloseTo(10 + 40)
  })

  it('knows its stages', () => {
    const { forecast } = started()
    expect(() => forecast.begin('other')).toThrow(/no stage ahead is called other/)
    forecast.begin('short')
    expect(() => forecast.begin('short')).toThrow('no stage ahead is called short')
  })
})
