import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { heldExactly, jsonProblem, jsonText, parseJson, parseJsonKeeping } from '../../lib/core/exact-json.js'
import { ExactNumber, heldNumber } from '../../lib/core/exact-number.js'

const order = '7301456228930019841'
const limit = 'the integers that a number holds exactly (±9007199254740991): write it as text'

describe('parseJson', () => {
  it('refuses integers that a number does not hold, by their path', () => {
    expect(() => parseJson(`{"id": ${order}}`, 'arguments')).toThrow(
      `arguments.id: ${order} is beyond ${limit}`,
    )
    expect(() => parseJson(`[1, {"a b": [-${order}]}]`)).toThrow(
      `[1]["a b"][0]: -${order} is beyond ${limit}`,
    )
    expect(() => parseJson(order)).toThrow(`${order} is beyond ${limit}`)
  })

  it.each([
    ['9007199254740991', true],
    ['-9007199254740991', true],
    ['9007199254740992', false],
    ['9007199254740993', false],
    ['9007199254740993.0', false],
    ['7.301456228930019841e18', false],
    ['7.301456228930019841E+18', false],
    ['1e23', true],
    ['6.02214076e23', true],
    ['1.7976931348623157e308', true],
    ['1e309', false],
    ['-1e400', false],
    ['0.1234567890123456789', true],
    ['1e-400', true],
    ['-0', true],
    ['1'.repeat(100_000), false],
  ])('holds %s: %s', (text, held) => {
    if (held) expect(parseJson(text)).toBe(JSON.parse(text))
    else expect(() => parseJson(text)).toThrow(/is beyond/)
    expect(heldNumber(text) !== undefined).toBe(held)
  })

  it('names the largest number where a number is beyond it', () => {
    expect(() => parseJson('{"a": 1e400}')).toThrow(
      'a: 1e400 is beyond the largest number (1.7976931348623157e+308)',
    )
  })

  it('reads digits inside text as text', () => {
    const text = JSON.stringify({ a: order, b: `\\" ${order}, [[[ "quoted" \\`, [`k"${order}`]: 1 })
    expect(parseJson(text)).toEqual(JSON.parse(text))
  })

  it('refuses deep nesting by name, whatever it is nested in', () => {
    for (const depth of [257, 1000, 10_000, 1_000_000]) {
      expect(() => parseJson('['.repeat(depth) + ']'.repeat(depth))).toThrow(
        /^nested deeper than 256 levels$/,
      )
      expect(() => parseJson(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`)).toThrow(
        'deeper than 256 levels',
      )
    }
    const allowed = '['.repeat(256) + ']'.repeat(256)
    expect(JSON.stringify(parseJson(allowed))).toBe(allowed)
    const wide = `[${'{"a":[1]},'.repeat(1000)}"[[["]`
    expect(parseJson(wide)).toEqual(JSON.parse(wide))
  })

  it('keeps __proto__ a key, and the last of equal keys', () => {
    const text = '{"__proto__": {"polluted": 1.0}, "a": 1.0, "a": 2, "b": 1, "b": 1.0}'
    for (const value of [parseJson(text), parseJson(text.replaceAll('1.0', '1'))] as Record<
      string,
      unknown
    >[]) {
      expect(Object.keys(value)).toEqual(['__proto__', 'a', 'b'])
      expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
      expect([value.a, value.b]).toEqual([2, 1])
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  it('fails as JSON.parse does where a text is no JSON', () => {
    for (const text of [
      '',
      '{',
      '01',
      '[1.]',
      `{"a": ${order}`,
      '"\t"',
      '[1,]',
      '-',
      '{"a":1e}',
      "{'a': 1}",
    ]) {
      let expected: unknown
      try {
        JSON.parse(text)
      } catch (error) {
        expected = error
      }
      expect(() => parseJson(text)).toThrow(expected as SyntaxError)
    }
  })

  it('agrees with JSON.parse on what numbers hold', () => {
    const held = fc.json().filter((text) => !/\d{16}/.test(text))
    fc.assert(
      fc.property(held, (text) => {
        expect(parseJson(text)).toEqual(JSON.parse(text))
      }),
      { seed: 13, numRuns: 500 },
    )
  })
})

describe('numbers as they were written', () => {
  it('are kept to the text that is written again', () => {
    const text = `{"a":10.0,"b":[1e3,${order},-0,1E5,0.10],"c":1.5,"d":7,"__proto__":1.0}`
    const value = parseJsonKeeping(text, 'text') as Record<string, unknown>
    expect(value.a).toEqual(new ExactNumber('10.0'))
    expect(value.c).toBe(1.5)
    expect(jsonText(value)).toBe(text)
  })

  it('are never rounded by JSON.stringify', () => {
    expect(JSON.stringify(parseJsonKeeping(`[10.0, ${order}]`, 'text'))).toBe(`[10,"${order}"]`)
  })

  it('are kept where no number holds them, if that is asked for', () => {
    const value = parseJsonKeeping(`[10.0, ${order}, 1e400, 12345678901234567]`, 'unheld')
    expect(value).toEqual([10, ...[order, '1e400', '12345678901234567'].map((text) => new ExactNumber(text))])
  })

  it('become numbers, or text where none holds them', () => {
    const value = parseJsonKeeping(`{"a": [10.0, ${order}]}`, 'text')
    expect(heldExactly(value, 'answer', 'text')).toEqual({ a: [10, order] })
    expect(() => heldExactly(value, 'metadata')).toThrow(`metadata.a[1]: ${order} is beyond`)
    expect(heldExactly([1n, 2n ** 60n], '', 'text')).toEqual([1, String(2n ** 60n)])
  })

  it('round-trip at random', () => {
    const number = fc.oneof(
      fc.bigInt().map(String),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value.toExponential()),
      fc.tuple(fc.integer(), fc.nat({ max: 9 })).map(([whole, zeros]) => `${whole}.5${'0'.repeat(zeros)}`),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), number)), (pairs) => {
        const text = `[${pairs.map(([key, digits]) => `{${JSON.stringify(key)}:${digits}}`).join(',')}]`
        expect(jsonText(parseJsonKeeping(text, 'text'))).toBe(text)
      }),
      { seed: 13, numRuns: 300 },
    )
  })
})

it('says what was wrong', () => {
  const problem = (text: string) => {
    try {
      return parseJson(text, 'arguments')
    } catch (error) {
      return jsonProblem(error, 'not valid JSON')
    }
  }
  expect(problem('{')).toMatch(/^not valid JSON: Expected property name/)
  expect(problem(order)).toBe(`arguments: ${order} is beyond ${limit}`)
})
