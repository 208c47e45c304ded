import { describe, expect, it } from 'vitest'
import { calculator } from '../../lib/tools/calculator.js'

const context = { signal: new AbortController().signal, rolloutId: 'test' }
const compute = (expression: string) => calculator.run(calculator.validate({ expression }), context)

describe('calculator', () => {
  it.each([
    ['2 + 3 * 4', '14'],
    ['(2 + 3) * 4', '20'],
    ['10 - 4 - 3', '3'],
    ['24 / 4 / 2', '3'],
    ['-(2 + 3) * -2', '10'],
    ['3 - -3', '6'],
    ['.5 * 4.', '2'],
    ['1.5e3 + 1', '1501'],
    ['-0', '0'],
    // The calculator computes with decimals, not doubles.
    ['0.1 + 0.2', '0.3'],
    ['0.3 - 0.1 - 0.2', '0'],
    ['1000000.1 - 1000000', '0.1'],
    ['10 / 3 * 3', '10'],
    // Results have 12 significant digits, or as many as the integer part has.
    ['1 / 3', '0.333333333333'],
    ['2 / 3', '0.666666666667'],
    ['1 / 3000', '0.000333333333333'],
    ['1234567 * 7654321', '9449772114007'],
    ['551695 + 83871.5', '635566.5'],
    ['9007199254740993 + 2', '9007199254740995'],
    ['1234567890123.25', '1234567890123'],
    ['1e300 * 1e300', '1e+600'],
  ])('%s = %s', (expression, result) => {
    expect(compute(expression)).toBe(result)
  })

  it.each([
    ['', 'empty'],
    ['2 3', 'an operator is missing'],
    ['2 +', 'cannot read'],
    ['(2', 'cannot read'],
    ['1,000', 'an operator is missing'],
    ['6x2', 'cannot read'],
    ['1 / 0', 'division by zero'],
    ['1 / (2 - 2)', 'division by zero'],
    ['2 ^ 3', 'the operator ^ is not supported'],
    ['1 < 2', 'the operator < is not supported'],
    ['!1', 'the operator ! is not supported'],
    ['"1" + "2"', '"1" is not a number'],
    ['true + 1', 'true is not a number'],
    ['area', '"area" is not a number'],
    ['1e9000000000000000 * 10', 'too large'],
  ])('%s: %s', (expression, message) => {
    expect(() => compute(expression)).toThrow(message)
  })

  it.each([
    'process',
    'globalThis.process',
    'constructor',
    '__proto__',
    'f(1)',
    'this',
    '[].constructor',
    '(1).constructor',
    'a ? 1 : 2',
    '`1`',
  ])('cannot reach %s', (expression) => {
    expect(() => compute(expression)).toThrow(/is not a number|only numbers|cannot read|not supported/)
  })

  it('is bounded in length and depth', () => {
    expect(compute(`${'-'.repeat(998)}1`)).toBe('1')
    expect(() => compute('('.repeat(1000))).toThrow('cannot read')
    expect(() => calculator.validate({ expression: '1'.repeat(1001) })).toThrow(/^expression: /)
  })
})
