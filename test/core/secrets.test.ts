import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  addSecret,
  addSecretVariables,
  redact,
  redactValue,
  secretVariables,
} from '../../lib/core/secrets.js'

afterEach(() => vi.unstubAllEnvs())

describe('redact', () => {
  it('knows environment variables by their names, whenever they are set', () => {
    expect(redact('say swordfish-1234')).toBe('say swordfish-1234')
    vi.stubEnv('SEARCH_API_KEY', 'swordfish-1234')
    expect(redact('say swordfish-1234')).toBe('say [redacted]')
    vi.unstubAllEnvs()
    expect(redact('say swordfish-1234')).toBe('say swordfish-1234')
  })

  it('finds a secret URL-encoded, in base64, and inside another', () => {
    vi.stubEnv('A_TOKEN', 'pass/word+one')
    vi.stubEnv('B_TOKEN', 'pass/word+one-and-more')
    expect(redact('?key=pass%2Fword%2Bone&x')).toBe('?key=[redacted]&x')
    expect(redact(`Basic ${Buffer.from('pass/word+one').toString('base64')}`)).toBe('Basic [redacted]')
    expect(redact('pass/word+one-and-more')).toBe('[redacted]')
  })

  it('takes what it is told', () => {
    addSecret('my $pecial (secret)')
    expect(redact('is my $pecial (secret)!')).toBe('is [redacted]!')
    vi.stubEnv('PLAIN', 'a plain variable')
    addSecretVariables(['PLAIN'])
    expect(redact('a plain variable')).toBe('[redacted]')
    expect(() => addSecretVariables(['NO_SUCH_VARIABLE'])).toThrow(
      "secrets: must be names of variables that the environment has, got 'NO_SUCH_VARIABLE'",
    )
    expect(() => addSecret('short')).toThrow(
      'secret: must be text of at least 8 characters, got 5 characters',
    )
  })

  it.each([
    [`sk-proj-${'a1'.repeat(15)}`],
    [`ghp_${'a1'.repeat(18)}`],
    [`hf_${'a1'.repeat(17)}`],
    ['AKIAIOSFODNN7EXAMPLE'],
    [`AIza${'a'.repeat(35)}`],
    [`eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.${'b'.repeat(20)}`],
  ])('knows the format of %s', (token) => {
    expect(redact(`before ${token} after`)).toBe('before [redacted] after')
  })

  it('hides bearer tokens and passwords in addresses, and leaves the rest', () => {
    expect(redact('Authorization: Bearer abcdefghijklmnop123')).toBe('Authorization: Bearer [redacted]')
    expect(redact('postgres://me:hunter22@host/db')).toBe('postgres://me:[redacted]@host/db')
    const innocent = 'The skeleton key: https://example.com:8080/a?b=c, sk-1, bearer of news, tokens 12345678'
    expect(redact(innocent)).toBe(innocent)
  })
})

it('redacts values in depth, keys included, and leaves typed arrays', () => {
  vi.stubEnv('SEARCH_API_KEY', 'swordfish-1234')
  const tokens = Int32Array.of(1, 2)
  const value = { a: ['swordfish-1234', 1, null], 'swordfish-1234': { b: 'x' }, tokens }
  const clean = redactValue(value)
  expect(clean).toEqual({ a: ['[redacted]', 1, null], '[redacted]': { b: 'x' }, tokens })
  expect(clean.tokens).toBe(tokens)
})

it('tells names that hold secrets from others', () => {
  const long = 'x'.repeat(20)
  const names = [
    'OPENAI_API_KEY',
    'DB_PASSWORD',
    'GH_TOKEN',
    'AWS_SECRET_ACCESS_KEY',
    'TOKENIZERS_PARALLELISM',
    'MONKEY',
    'PATH',
  ]
  expect(secretVariables(Object.fromEntries(names.map((name) => [name, long])))).toEqual(names.slice(0, 4))
  expect(secretVariables({ A_KEY: 'short' })).toEqual([])
})
