// Real tokenizers, compared with the tokens that Hugging Face's own library makes of the same texts (fixtures/reference-tokens.py).
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { loadTokenizer, type TemplateTokenizer, type TokenizerFiles } from '../../lib/policy/tokenizer.js'
import type { Tokenizer } from '../../lib/policy/types.js'
import { type PublishedTokenizer, publishedTokenizer } from './published-tokenizer.js'

interface Reference {
  tokens: number[][]
  decoded: string[]
}

const path = new URL('fixtures/reference-tokens.json', import.meta.url)
const { texts, ...references } = JSON.parse(readFileSync(path, 'utf8')) as { texts: string[] } & Record<
  string,
  Reference
>
const names: PublishedTokenizer[] = ['qwen3', 'llama3_1', 'llama2']
const files = Object.fromEntries(names.map((name) => [name, publishedTokenizer(name)])) as Record<
  PublishedTokenizer,
  TokenizerFiles
>
const llama2With = (scheme: string): TokenizerFiles => ({
  tokenizer: {
    ...files.llama2.tokenizer,
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: scheme, split: false },
  },
})
const tokenizers = {
  ...Object.fromEntries(names.map((name) => [name, loadTokenizer(files[name])])),
  ...Object.fromEntries(
    ['first', 'always', 'never'].map((scheme) => [`llama2-${scheme}`, loadTokenizer(llama2With(scheme))]),
  ),
} as Record<string, Tokenizer>
const qwen = tokenizers.qwen3 as TemplateTokenizer
const llama2 = tokenizers.llama2 as Tokenizer

describe.each(Object.keys(tokenizers))('%s', (name) => {
  const tokenizer = tokenizers[name] as Tokenizer
  const reference = references[name] as Reference

  it(`encodes ${texts.length} texts as the reference does`, () => {
    expect(texts.map((text) => tokenizer.encode(text))).toEqual(reference.tokens)
  })

  it('decodes token by token to the same text', () => {
    const bytes = tokenizer.tokenBytes()
    for (const tokens of reference.tokens) {
      const pieces = tokens.map((token) => bytesOf(tokenizer, bytes, token))
      expect(Buffer.concat(pieces).toString('utf8')).toBe(tokenizer.decode(tokens, { continues: true }))
    }
  })
})

it.each(names)('%s decodes them as the reference does', (name) => {
  const { tokens, decoded } = references[name] as Reference
  expect(tokens.map((ids) => tokenizers[name]?.decode(ids))).toEqual(decoded)
})

describe('byte-level tokenizers', () => {
  it.each(['qwen3', 'llama3_1'])('decode what they encoded, %s', (name) => {
    const tokenizer = tokenizers[name] as Tokenizer
    // Qwen composes characters (NFC) before it splits.
    const expected = texts.map((text) => (name === 'qwen3' ? text.normalize('NFC') : text))
    expect(texts.map((text) => tokenizer.decode(tokenizer.encode(text)))).toEqual(expected)
  })

  it('do not care what stands before', () => {
    for (const text of texts) expect(qwen.encode(text, 'before')).toEqual(qwen.encode(text))
  })

  it('have the tags of calls as single tokens that decode to text', () => {
    expect(qwen.encode('<tool_call>')).toEqual([qwen.tokenId('<tool_call>')])
    expect(qwen.decode([qwen.tokenId('<tool_call>') as number])).toBe('<tool_call>')
    expect(qwen.addedTokenAt('<|im_end|>\n')).toBe('<|im_end|>')
    expect(qwen.addedTokenAt(' <|im_end|>')).toBeUndefined()
  })
})

describe('tokenizers that put a space in front', () => {
  it('do so at the beginning and after control tokens, not where text goes on', () => {
    const whole = llama2.encode('[INST] What? [/INST] Paris </s><s>[INST] And')
    const prompt = '[INST] What? [/INST]'
    const reply = ' Paris '
    const parts = [
      ...llama2.encode(prompt),
      ...llama2.encode(reply, prompt),
      ...llama2.encode('</s>', prompt + reply),
      ...llama2.encode('<s>[INST] And', `${prompt}${reply}</s>`),
    ]
    expect(parts).toEqual(whole)
    expect(llama2.encode(`${reply}</s><s>[INST] And`, prompt)).toEqual(
      whole.slice(llama2.encode(prompt).length),
    )
  })

  it('keep the space of a reply that goes on, and take it off at the beginning', () => {
    const tokens = llama2.encode(' Paris', '[/INST]')
    expect(llama2.decode(tokens, { continues: true })).toBe(' Paris')
    expect(llama2.decode(llama2.encode('Paris'))).toBe('Paris')
  })

  it('write bytes where no entry has the character', () => {
    const tokens = llama2.encode('𐍈')
    expect(tokens).toHaveLength(5)
    expect(llama2.decode(tokens)).toBe('𐍈')
    expect(llama2.decode(tokens.slice(0, 3))).toBe('\ufffd')
  })

  it('are refused without byte_fallback, by the names of their parts', () => {
    const model = { ...(files.llama2.tokenizer.model as object), byte_fallback: false }
    expect(() => loadTokenizer({ tokenizer: { ...files.llama2.tokenizer, model } })).toThrow(
      /"▁" for spaces and "byte_fallback".*Prepend, Replace/,
    )
  })
})

/** Special tokens have no bytes that a stop text could match; they are decoded to their own text. */
function bytesOf(tokenizer: Tokenizer, tokenBytes: Uint8Array[], token: number): Uint8Array {
  const bytes = tokenBytes[token] as Uint8Array
  return bytes.length > 0 ? bytes : Buffer.from(tokenizer.decode([token], { continues: true }))
}
