import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import { defineTool } from '../../lib/tools/define-tool.js'
import { ToolInputError } from '../../lib/tools/tool-input-error.js'

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
})

describe('cost', () => {
  it('is kept: a number, or a function of the finished call', () => {
    const cost = ({ milliseconds }: { milliseconds: number }) => milliseconds / 1000
    expect(defineTool({ ...valid, cost: 0 }).cost).toBe(0)
    expect(defineTool({ ...valid, cost }).cost).toBe(cost)
    expect(defineTool(valid)).not.toHaveProperty('cost')
  })
})

describe('a bad definition', () => {
  it.each<[string, Record<string, unknown>, new (...input: never[]) => Error, RegExp]>([
    ['no name', { name: undefined }, TypeError, /^name: /],
    ['a name with spaces', { name: 'look up' }, TypeError, /^name: .*got "look up"/],
    ['a long name', { name: 'x'.repeat(65) }, TypeError, /^name: /],
    ['an empty description', { description: ' ' }, TypeError, /^description: /],
    ['no run', { run: undefined }, TypeError, /^run: must be a function, got undefined/],
    ['no input', { input: undefined }, TypeError, /^input: .*got undefined/],
    ['an input that is no schema', { input: { type: 'objekt' } }, TypeError, /^input: .*"objekt"/],
    [
      'an input that is not valid JSON Schema',
      { input: { type: 'object', required: 'key' } },
      TypeError,
      /^input: is not a valid JSON Schema/,
    ],
    ['a misspelt keyword', { input: { type: 'object', propertys: {} } }, TypeError, /^input: .*propertys/],
    [
      'a zod schema of no object',
      { input: z.string() },
      TypeError,
      /^input: must describe an object, got type "string"/,
    ],
    [
      'a zod schema without JSON Schema',
      { input: z.object({ when: z.date() }) },
      TypeError,
      /^input: has no JSON Schema/,
    ],
    ['a zod 3 schema', { input: { _def: {}, parse() {} } }, TypeError, /^input: .*zod 3/],
    ['a timeout that is no number', { timeout: '1' }, TypeError, /^timeout: /],
    ['a timeout of 0', { timeout: 0 }, RangeError, /^timeout: .*got 0/],
    ['a cost that is no number', { cost: '1' }, TypeError, /^cost: .*got string/],
    ['a negative cost', { cost: -1 }, RangeError, /^cost: .*got -1/],
    ['an endless timeout', { timeout: Number.POSITIVE_INFINITY }, RangeError, /^timeout: /],
  ])('%s is refused by name', (_, field, type, message) => {
    const define = () => defineTool({ ...valid, ...field })
    expect(define).toThrow(type)
    expect(define).toThrow(message)
  })

  it('is refused where it is no definition', () => {
    expect(() => defineTool(undefined as never)).toThrow(/^defineTool: takes/)
  })
})
