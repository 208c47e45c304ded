import { describe, expect, it } from 'vitest'
import { compileJsonSchema, jsonSchemaProblem } from '../../../lib/core/json-schema-compiler.js'
import { readForeignSchema } from '../../../lib/tools/mcp/foreign-schema.js'

const kind = { allErrors: true, strict: false, patterns: 'foreign' } as const
const accepts = (given: unknown, value: unknown) => {
  const { schema } = readForeignSchema(given)
  expect(jsonSchemaProblem(schema, kind)).toBeUndefined()
  return compileJsonSchema(schema, kind)(value)
}

describe('the schema of a foreign tool', () => {
  it.each([
    undefined,
    null,
    true,
    {},
    { type: null },
    { type: ['object', 'null'] },
    { properties: null, required: null },
  ])('is an object that may have anything: %j', (given) => {
    expect(readForeignSchema(given).schema).toMatchObject({ type: 'object' })
    expect(accepts(given, { a: 1 })).toBe(true)
    expect(accepts(given, 'text')).toBe(false)
  })

  it.each([
    [
      'nulls deep inside',
      { properties: { a: { type: 'array', items: { type: 'object', required: null } } } },
      { a: [{}] },
      { a: [1] },
    ],
    [
      'a property that is called required',
      { properties: { required: { type: 'boolean' } } },
      { required: true },
      { required: 1 },
    ],
    [
      'a default that is null',
      { properties: { a: { default: null, enum: [null, 1] } } },
      { a: null },
      { a: 2 },
    ],
    ['draft-04 limits', { properties: { a: { minimum: 1, exclusiveMinimum: true } } }, { a: 2 }, { a: 1 }],
    [
      'draft-04 limits that include',
      { properties: { a: { maximum: 1, exclusiveMaximum: false } } },
      { a: 1 },
      { a: 2 },
    ],
    ['draft-03 required', { properties: { a: { type: 'string', required: true } } }, {}, { a: 1 }],
    [
      'draft-04',
      {
        $schema: 'http://json-schema.org/draft-04/schema#',
        id: 'http://a/b',
        properties: { a: { $ref: '#/definitions/d' } },
        definitions: { d: { type: 'number' } },
      },
      { a: 1 },
      { a: 'b' },
    ],
    [
      'draft-07 lists of items',
      {
        $schema: 'http://json-schema.org/draft-07/schema',
        properties: { a: { items: [{ type: 'string' }], additionalItems: false } },
      },
      { a: ['b'] },
      { a: ['b', 'c'] },
    ],
    ['an empty list of items', { properties: { a: { type: 'array', items: [] } } }, { a: [1] }, { a: 1 }],
    [
      '2020-12',
      {
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        properties: { a: { $ref: '#/$defs/a~1b' } },
        $defs: { 'a/b': { const: 1 } },
      },
      { a: 1 },
      { a: 2 },
    ],
    [
      'references to its own address',
      { $id: 'http://x/y', properties: { a: { $ref: 'http://x/y#/$defs/a' } }, $defs: { a: { const: 1 } } },
      { a: 1 },
      { a: 2 },
    ],
    [
      'recursion',
      { properties: { child: { $ref: '#' } }, additionalProperties: false },
      { child: { child: {} } },
      { child: { other: 1 } },
    ],
    ['nullable', { properties: { a: { type: 'string', nullable: true } } }, { a: null }, { a: 1 }],
    [
      'unknown keywords and formats',
      { 'x-internal': true, properties: { a: { type: 'string', format: 'snowflake', example: null } } },
      { a: 'b' },
      { a: 1 },
    ],
    [
      'names by a pattern',
      { patternProperties: { '^(?i)x-': { type: 'number' } }, additionalProperties: false },
      {},
      { y: 1 },
    ],
  ])('%s', (_, given, right, wrong) => {
    expect(accepts(given, right)).toBe(true)
    expect(accepts(given, wrong)).toBe(false)
  })

  it('a pattern that cannot run in linear time is told, and refuses nothing', () => {
    const given = {
      properties: { a: { pattern: '^(?=x)' }, b: { pattern: 'a++' } },
      patternProperties: { '(?!y)': false, '^z': { type: 'number' } },
      additionalProperties: false,
    }
    expect(readForeignSchema(given).ignored).toEqual(['^(?=x)', 'a++', '(?!y)'])
    expect(accepts(given, { a: 'a', other: 1, z: 2 })).toBe(true)
    expect(accepts(given, { z: 'text' })).toBe(false)
  })

  it.each([
    ['text', 'a schema is an object'],
    [[], 'a schema is an object'],
    [{ type: 'array' }, 'type must be "object", got "array"'],
    [
      { properties: { a: { $ref: '#/definitions/none' } } },
      'nothing is at the reference "#/definitions/none"',
    ],
    [{ properties: { a: { $ref: 'https://example.com/other.json' } } }, 'nothing is at the reference'],
    [{ properties: { a: { $ref: '#/%' } } }, 'nothing is at the reference "#/%"'],
  ])('%j cannot be used', (given, message) => {
    expect(() => readForeignSchema(given)).toThrow(message)
  })

  it('nested without end cannot be used', () => {
    let nested: Record<string, unknown> = {}
    for (let depth = 0; depth < 10_000; depth++) nested = { properties: { a: nested } }
    expect(() => readForeignSchema(nested)).toThrow('nested deeper than 100 levels')
  })
})
