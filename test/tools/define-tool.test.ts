import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import { defineTool } from '../../lib/tools/define-tool.js'
import { ToolInputError } from '../../lib/tools/tool-input-error.js'
import { refuses } from '../core/wrong-options.js'

const valid = {
  name: 'lookup',
  description: 'Looks things up',
  input: { type: 'object', properties: { key: { type: 'string' } }, required: ['key'] },
  run: () => 'found',
}
const context = { signal: new AbortController().signal, rolloutId: 'test' }

describe('defineTool with zod', () => {
  const tool = defineTool({
    name: 'repeat',
    description: 'Repeats a word',
    input: z.object({ word: z.string().describe('What to repeat'), times: z.int().min(1).default(2) }),
    run: ({ word, times }) => word.repeat(times),
    timeout: 100,
  })

  it('describes the input as JSON Schema, defaults being optional', () => {
    expect(tool).toMatchObject({ name: 'repeat', description: 'Repeats a word', timeout: 100 })
    expect(tool.parameters).toMatchObject({
      type: 'object',
      properties: {
        word: { type: 'string', description: 'What to repeat' },
        times: { type: 'integer', minimum: 1, default: 2 },
      },
      required: ['word'],
    })
    expect(tool.parameters).not.toHaveProperty('$schema')
  })

  it('types and parses the input', () => {
    expectTypeOf(tool.validate).returns.toEqualTypeOf<{ word: string; times: number }>()
    expect(tool.run(tool.validate({ word: 'ab' }), context)).toBe('abab')
  })

  it.each([
    [{ times: 1 }, /^word: .*string/],
    [{ word: 'a', times: 0 }, /^times: /],
    [{ word: 1, times: 0 }, /^word: .*; times: /],
    ['a', /object/],
  ])('refuses %j by name', (input, message) => {
    expect(() => tool.validate(input)).toThrow(ToolInputError)
    expect(() => tool.validate(input)).toThrow(message)
  })
})

describe('defineTool with JSON Schema', () => {
  const tool = defineTool<{ key: string }>({
    ...valid,
    input: {
      type: 'object',
      properties: {
        key: { type: 'string' },
        list: { type: 'array', items: { type: ['string', 'null'], format: 'date' } },
        unit: { enum: ['km', 'mi'] },
      },
      required: ['key'],
      additionalProperties: false,
    },
    run: ({ key }) => key,
  })

  it('takes what fits, unchanged', () => {
    const input = { key: 'a', list: ['x', null], unit: 'km' }
    expect(tool.validate(input)).toBe(input)
  })

  it.each([
    [{}, /^must have required property 'key'$/],
    [{ key: 1 }, /^key: must be string$/],
    [{ key: 'a', list: ['x', 3] }, /^list\.1: must be string,null$/],
    [{ key: 'a', unit: 'm' }, /^unit: must be one of "km", "mi"$/],
    [{ key: 'a', Key: 'b' }, /^must NOT have additional property "Key"$/],
    [null, /^must be object$/],
  ])('refuses %j by name', (input, message) => {
    expect(() => tool.validate(input)).toThrow(ToolInputError)
    expect(() => tool.validate(input)).toThrow(message)
  })

  it('reads draft-07 where the schema says so', () => {
    const input = {
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object',
      properties: {
        pair: { type: 'array', items: [{ type: 'string' }, { type: 'number' }], minItems: 2, maxItems: 2 },
      },
    }
    const pairs = defineTool({ ...valid, input })
    expect(() => pairs.validate({ pair: ['a', 'b'] })).toThrow('pair.1: must be number')
  })

  it('runs patterns in linear time, and keeps those that only JavaScript knows', () => {
    const tool = defineTool({
      ...valid,
      input: {
        type: 'object',
        properties: { a: { type: 'string', pattern: '^(a+)+$' }, b: { type: 'string', pattern: '^(?!b)' } },
      },
    })
    const start = performance.now()
    expect(() => tool.validate({ a: `${'a'.repeat(5000)}!` })).toThrow('a: must match pattern "^(a+)+$"')
    expect(() => tool.validate({ b: 'b' })).toThrow('b: must match pattern "^(?!b)"')
    expect(tool.validate({ a: 'aa', b: 'c' })).toEqual({ a: 'aa', b: 'c' })
    expect(performance.now() - start).toBeLessThan(20_000)
  })

  it('tools may have schemas of the same $id, and refer to themselves', () => {
    const of = (type: string) =>
      defineTool({
        ...valid,
        input: { $id: 'https://a/b', type: 'object', properties: { a: { type }, b: { $ref: '#' } } },
      })
    const [texts, numbers] = [of('string'), of('number')]
    expect(texts.validate({ a: 'x', b: { a: 'y' } })).toEqual({ a: 'x', b: { a: 'y' } })
    expect(() => numbers.validate({ a: 1, b: { a: 'y' } })).toThrow('b.a: must be number')
  })
})

describe('cost', () => {
  it('is kept: a number, or a function of the finished call', () => {
    const cost = ({ milliseconds }: { milliseconds: number }) => milliseconds / 1000
    expect(defineTool({ ...valid, cost: 0 }).cost).toBe(0)
    expect(defineTool({ ...valid, cost }).cost).toBe(cost)
    expect(defineTool(valid)).not.toHaveProperty('cost')
  })
})

describe('defineTool refuses', () => {
  refuses(
    (change) => defineTool({ ...valid, ...(change as object) }),
    [
      [{ name: undefined }, 'defineTool.name: must be 1 to 64 letters, digits, "_" or "-", got undefined'],
      [{ name: 'look up' }, `defineTool.name: must be 1 to 64 letters, digits, "_" or "-", got 'look up'`],
      [
        { name: 'x'.repeat(65) },
        `defineTool.name: must be 1 to 64 letters, digits, "_" or "-", got '${'x'.repeat(65)}'`,
      ],
      [
        { description: ' ' },
        "defineTool.description: must be text that tells the policy what the tool does, got ' '",
      ],
      [{ run: undefined }, 'defineTool.run: must be a function, got undefined'],
      [{ input: undefined }, 'defineTool.input: must be a zod schema or a JSON Schema object, got undefined'],
      [{ input: [] }, 'defineTool.input: must be a zod schema or a JSON Schema object, got []'],
      [{ input: { type: 'objekt' } }, `defineTool.input.type: must be "object", got 'objekt'`],
      [
        { input: { type: 'object', required: 'key' } },
        'defineTool.input: must be a valid JSON Schema, got one that is none: schema is invalid: data/required must be array',
      ],
      [
        { input: { type: 'object', propertys: {} } },
        'defineTool.input: must be a valid JSON Schema, got one that is none: strict mode: unknown keyword: "propertys"',
      ],
      [{ input: z.string() }, `defineTool.input.type: must be "object", got 'string'`],
      [
        { input: z.object({ when: z.date() }) },
        'defineTool.input: must be a schema that JSON Schema can express, got one that it cannot: Date cannot be represented in JSON Schema',
      ],
      [{ input: { _def: {}, parse() {} } }, 'defineTool.input: must be a schema of zod 4, got one of zod 3'],
      [
        { timeout: '1' },
        "defineTool.timeout: must be a number greater than 0 and at most 2147483647, got '1'",
      ],
      [{ timeout: 0 }, 'defineTool.timeout: must be greater than 0 and at most 2147483647, got 0'],
      [
        { timeout: Number.POSITIVE_INFINITY },
        'defineTool.timeout: must be greater than 0 and at most 2147483647, got Infinity',
      ],
      [{ cost: '1' }, "defineTool.cost: must be a number of at least 0 or a function, got '1'"],
      [{ cost: -1 }, 'defineTool.cost: must be a number of at least 0 or a function, got -1'],
      [
        { timeOut: 3 },
        'defineTool.timeOut: must be left out (there is no such option; did you mean timeout?), got 3',
      ],
    ],
  )
  refuses(defineTool as never, [[undefined, 'defineTool: must be an object, got undefined']])
})
