// BPE tokenizers in Hugging Face's tokenizer.json format, byte-level or with byte fallback. @huggingface/tokenizers splits and
// merges; decoding is done here from bytes, because a policy samples any list of tokens, halves of characters included.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { InvalidOptionError } from '../core/option-error.js'
import { instance } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { reasonOf } from '../core/system-error.js'
import {
  entryBytes,
  type Json,
  type TokenizerFormat,
  tokenizerFormat,
  withoutPrefix,
} from './tokenizer-format.js'
import { type AddedToken, readVocabulary } from './tokenizer-vocabulary.js'
import type { Tokenizer } from './types.js'

export const tokenizerFilesShape = {
  /** The content of tokenizer.json. */
  tokenizer: instance<Record<string, unknown>>('the content of tokenizer.json'),
  /** The content of tokenizer_config.json. Default: empty. */
  config: instance<Record<string, unknown>>('the content of tokenizer_config.json').optional(),
}
export const tokenizerFiles = z.strictObject(tokenizerFilesShape)
export interface TokenizerFiles extends OptionsOf<typeof tokenizerFilesShape> {}

/** From a folder with tokenizer.json (and tokenizer_config.json where there is one), or from their contents. Throws InvalidOptionError for others. */
export function loadTokenizer(source: string | TokenizerFiles): Tokenizer {
  if (typeof source === 'string') return new JsonTokenizer(readTokenizerFiles(source))
  return new JsonTokenizer(readOptions(tokenizerFiles, source, 'tokenizer'))
}

export function readTokenizerFiles(folder: string): TokenizerFiles {
  const config = readJson(join(folder, 'tokenizer_config.json'), true)
  return { tokenizer: readJson(join(folder, 'tokenizer.json'), false) as Json, ...(config && { config }) }
}

class JsonTokenizer implements Tokenizer {
  readonly vocabSize: number
  readonly #files: TokenizerFiles
  readonly #format: TokenizerFormat
  readonly #inner: HuggingFaceTokenizer
  /** Without the space in front, for text that goes on from other text. */
  #continuing: HuggingFaceTokenizer | undefined
  readonly #ids: ReadonlyMap<string, number>
  /** What each token decodes to, special tokens to their own text. */
  readonly #pieces: Uint8Array[]
  readonly #special = new Set<number>()
  readonly #added: readonly AddedToken[]

  constructor(files: TokenizerFiles) {
    const { tokenizer, config } = files
    this.#files = files
    this.#format = tokenizerFormat(tokenizer)
    const { entries: vocabulary, added } = readVocabulary(tokenizer)
    this.#added = added
    this.#ids = new Map([
      ...vocabulary,
      ...this.#added.map((token): [string, number] => [token.content, token.id]),
    ])
    let largest = -1
    for (const id of this.#ids.values()) largest = Math.max(largest, id)
    this.vocabSize = largest + 1
    // Ids that no entry has (some vocabularies have gaps) decode to nothing.
    this.#pieces = new Array<Uint8Array>(this.vocabSize).fill(new Uint8Array(0))
    for (const [entry, id] of vocabulary) this.#pieces[id] = entryBytes(entry, this.#format.kind)
    for (const token of this.#added) {
      this.#pieces[token.id] = new TextEncoder().encode(token.content)
      if (token.special) this.#special.add(token.id)
    }
    this.#inner = new HuggingFaceTokenizer(tokenizer, config ?? {})
  }

  encode(text: string, before = ''): number[] {
    const { prefix } = this.#format
    if (prefix === 'never' || before === '') return encodeWith(this.#inner, text)
    if (prefix === 'first') return encodeWith(this.#withoutPrefix(), text)
    if (this.#added.some(({ content }) => before.endsWith(content))) return encodeWith(this.#inner, text)
    // The space is put in front of what follows an added token, not of what goes on from `before`.
    const token = this.#firstAdded(text)
    return [
      ...encodeWith(this.#withoutPrefix(), text.slice(0, token)),
      ...encodeWith(this.#inner, text.slice(token)),
    ]
  }

  /** Special tokens are kept as their text; bytes that are no UTF-8 become U+FFFD. */
  decode(tokens: ArrayLike<number>, { continues = false } = {}): string {
    const pieces = Array.from(tokens, (token) => this.#piece(token))
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(pieces))
    return this.#format.prefix !== 'never' && !continues && text.startsWith(' ') ? text.slice(1) : text
  }

  tokenId(token: string): number | undefined {
    return this.#ids.get(token)
  }

  addedTokenAt(text: string): string | undefined {
    const matches = this.#added.filter(({ content }) => content !== '' && text.startsWith(content))
    return matches.sort((a, b) => b.content.length - a.content.length)[0]?.content
  }

  tokenBytes(): Uint8Array[] {
    return this.#pieces.map((piece, id) => (this.#special.has(id) ? new Uint8Array(0) : piece))
  }

  #piece(token: number): Uint8Array {
    const piece = this.#pieces[token]
    if (piece) return piece
    throw new InvalidOptionError('tokens', `tokens of the vocabulary, 0 to ${this.vocabSize - 1}`, token)
  }

  #withoutPrefix(): HuggingFaceTokenizer {
    const { tokenizer, config } = this.#files
    this.#continuing ??= new HuggingFaceTokenizer(withoutPrefix(tokenizer), config ?? {})
    return this.#continuing
  }

  /** Where the first added token begins; the text's length where there is none. */
  #firstAdded(text: string): number {
    const places = this.#added.map(({ content }) => text.indexOf(content)).filter((place) => place !== -1)
    return Math.min(text.length, ...places)
  }
}

function encodeWith(tokenizer: HuggingFaceTokenizer, text: string): number[] {
  return text === '' ? [] : tokenizer.encode(text, { add_special_tokens: false }).ids
}

function readJson(path: string, optional: boolean): Json | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Json
  } catch (error) {
    if (optional && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new HdpoError('ERR_TOKENIZER', `cannot read ${path}: ${reasonOf(error)}`, { cause: error })
  }
}
