import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { countries } from '../../lib/families/atlas/countries.js'
import { formatSheet } from '../../lib/families/atlas/fact-sheets.js'
import { loadTokenizer } from '../../lib/policy/tokenizer.js'

const path = new URL('../../lib/families/atlas/tokenizer.json', import.meta.url)
const json = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
const tokenizer = loadTokenizer({ tokenizer: json })

const specialTokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
const tags = ['tool_call', 'tool_response', 'answer', 'reason'].flatMap((tag) => [`<${tag}>`, `</${tag}>`])

describe('loadTokenizer', () => {
  it.each([
    '',
    'What is the capital of France?',
    '<tool_call>{"name": "search", "arguments": {"query": "France capital"}}</tool_call><|im_end|>\n',
    'héllo 🙂👩‍👩‍👧 日本語 العربية\u0000\t\r\n  x ',
    '\ufeffmark',
    '<answer><answer> < answer > <|im_end',
    countries.map((country) => formatSheet(country)).join('\n'),
  ])('decodes what it encoded: %j', (text) => {
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
  })

  it('has every control token and tag as one token', () => {
    for (const token of [...specialTokens, ...tags])
      expect(tokenizer.encode(token)).toEqual([tokenizer.tokenId(token)])
    expect(tokenizer.tokenId('<nothing>')).toBeUndefined()
  })

  it('has digits in pairs from the left', () => {
    const digits = tokenizer.encode('0123456789 7')
    expect(digits.map((token) => tokenizer.decode([token]))).toEqual(['01', '23', '45', '67', '89', ' ', '7'])
    for (let number = 0; number < 100; number++) expect(tokenizer.encode(String(number))).toHaveLength(1)
  })

  it('spends few tokens on calls and names', () => {
    const call = '<tool_call>{"name": "search", "arguments": {"query": "France capital"}}</tool_call>'
    expect(tokenizer.encode(call)).toHaveLength(6)
    const lengths = countries.map((country) => tokenizer.encode(country.name).length)
    expect(lengths.filter((length) => length <= 3).length / lengths.length).toBeGreaterThan(0.9)
  })

  it('has a name as the same tokens wherever it stands', () => {
    const france = tokenizer.encode('France')
    for (const text of [
      'What is the capital of France?',
      '"France capital"',
      'France: capital Paris',
      'France or Spain',
    ]) {
      expect(tokenizer.encode(text).join(' ')).toContain(france.join(' '))
    }
  })

  it('gives the bytes of every token, none for control tokens', () => {
    const bytes = tokenizer.tokenBytes()
    expect(bytes).toHaveLength(tokenizer.vocabSize)
    for (const token of specialTokens) expect(bytes[tokenizer.tokenId(token) as number]).toHaveLength(0)
    const text = '<answer>Ōsaka 🙂</answer>'
    const joined = Buffer.concat(tokenizer.encode(text).map((token) => bytes[token] as Uint8Array))
    expect(joined.toString('utf8')).toBe(text)
  })

  it('decodes any list of tokens, with U+FFFD for bytes that are no text', () => {
    const every = Array.from({ length: tokenizer.vocabSize }, (_, token) => token)
    expect(tokenizer.decode(every).length).toBeGreaterThan(0)
    const [first] = tokenizer.encode('🙂')
    expect(tokenizer.decode([first as number])).toBe('\ufffd')
  })

  it('decodes ids above the vocabulary to nothing, because models have padded ones', () => {
    const [france] = tokenizer.encode('France') as [number]
    expect(tokenizer.decode([france, tokenizer.vocabSize, 151_935, france])).toBe('FranceFrance')
    expect([...tokenizer.absentTokens(2052)]).toEqual([2048, 2049, 2050, 2051])
    expect(() => tokenizer.decode([-1])).toThrow(
      'tokens: must be ids of tokens, whole numbers from 0 on, got -1',
    )
    expect(() => tokenizer.decode([1.5])).toThrow(/got 1.5/)
  })

  it('loads a folder, with or without tokenizer_config.json', () => {
    const folder = mkdtempSync(join(tmpdir(), 'hdpo-tokenizer-'))
    try {
      writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(json))
      expect(loadTokenizer(folder).encode('France')).toEqual(tokenizer.encode('France'))
      writeFileSync(join(folder, 'tokenizer_config.json'), '{')
      expect(() => loadTokenizer(folder)).toThrow(/tokenizer_config\.json/)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('refuses what it would not decode rightly', () => {
    expect(() => loadTokenizer('/no/such/folder')).toThrow(/cannot read .*tokenizer\.json/)
    expect(() => loadTokenizer({ tokenizer: { model: { type: 'Unigram', vocab: [] } } })).toThrow(
      /"BPE".*"Unigram"/,
    )
    expect(() => loadTokenizer({ tokenizer: { model: { type: 'BPE', vocab: {}, merges: [] } } })).toThrow(
      /byte-level/,
    )
  })
})
