// BPE tokenizers in Hugging Face's tokenizer.json format, byte-level or with byte fallback. @huggingface/tokenizers splits and
// merges; decoding is done here from bytes, because a policy samples any list of tokens, halves of characters included.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import { z } from 'zod'
import { readJsonObjectSync } from '../core/json-file.js'
import { InvalidOptionError } from '../core/option-error.js'
import { instance } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { isControlToken } from './control-tokens.js'
import { MarkedEncoder, type PieceEncoders, withoutControlTokens } from './marked-encoder.js'
import { isArrayLike } from './native-arguments.js'
import { entryBytes, type TokenizerFormat, tokenizerFormat, withoutPrefix } from './tokenizer-format.js'
import { type AddedToken, readVocabulary } from './tokenizer-vocabulary.js'
import type { Tokenizer } from './types.js'

/** A tokenizer that tells control tokens from text that spells them, as chat templates need it. */
export interface TemplateTokenizer extends Tokenizer {
  /** The texts of the added tokens that text never becomes (isControlToken). */
  readonly controlTokens: readonly string[]
  /** The control token that `text` begins with, e.g. '<|im_end|>'; undefined where it begins with none. */
  addedTokenAt(text: string): string | undefined
  /** The ids below `size`, a model's vocabulary, that are no tokens: vocabularies are padded, and some have gaps. */
  absentTokens(size: number): Int32Array
  /** The control tokens in a text, in order, without those that a mark breaks. */
  findControlTokens(text: string, mark: string | undefined): string[]
  /**
   * Tokens of a text where it stands after `before`. `mark` is a character that breaks control tokens: what it stands in, or behind
   * where the token is one character, is encoded as ordinary text, and it is in no token itself. JSON escapes of it go too.
   * Undefined where the text has none.
   */
  encodeMarked(text: string, mark: string | undefined, before?: string): number[]
}

export const tokenizerFilesShape = {
  /** The content of tokenizer.json. */
  tokenizer: instance<Record<string, unknown>>('the content of tokenizer.json'),
  /** The content of tokenizer_config.json. Default: empty. */
  config: instance<Record<string, unknown>>('the content of tokenizer_config.json').optional(),
}
export const tokenizerFiles = z.strictObject(tokenizerFilesShape)
export interface TokenizerFiles extends OptionsOf<typeof tokenizerFilesShape> {}

/** From a folder with tokenizer.json (and tokenizer_config.json where there is one), or from their contents. Throws InvalidOptionError for others. */
export function loadTokenizer(source: string | TokenizerFiles): TemplateTokenizer {
  if (typeof source === 'string') return new JsonTokenizer(readTokenizerFiles(source))
  return new JsonTokenizer(readOptions(tokenizerFiles, source, 'tokenizer'))
}

export function readTokenizerFiles(folder: string): TokenizerFiles {
  const tokenizer = readJsonObjectSync(join(folder, 'tokenizer.json'), 'ERR_TOKENIZER')
  const configPath = join(folder, 'tokenizer_config.json')
  return {
    tokenizer,
    ...(existsSync(configPath) && { config: readJsonObjectSync(configPath, 'ERR_TOKENIZER') }),
  }
}

/** What ids decode to that are no tokens, but may be in the vocabulary of a model, which is often padded. */
const noBytes = new Uint8Array(0)

class JsonTokenizer implements TemplateTokenizer {
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
  readonly #marked: MarkedEncoder
  /** A normaliser could make a control token of text that does not spell it (full-width letters, say). */
  readonly #normalizes: boolean

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
    this.#pieces = new Array<Uint8Array>(this.vocabSize).fill(noBytes)
    for (const [entry, id] of vocabulary) this.#pieces[id] = entryBytes(entry, this.#format.kind)
    for (const token of this.#added) {
      this.#pieces[token.id] = new TextEncoder().encode(token.content)
      if (token.special) this.#special.add(token.id)
    }
    this.#inner = new HuggingFaceTokenizer(tokenizer, config ?? {})
    this.#marked = new MarkedEncoder(this.#added, () => this.#encoders())
    this.#normalizes =
      tokenizer.normalizer != null &&
      this.#added.some((token) => isControlToken(token) && (token.normalized ?? !token.special))
  }

  get controlTokens(): string[] {
    return this.#marked.controlTokens
  }

  findControlTokens(text: string, mark: string | undefined): string[] {
    return this.#marked.find(text, mark)
  }

  encode(text: string, before = ''): number[] {
    if (typeof text !== 'string') throw new InvalidOptionError('text', 'text', text)
    if (!this.#continues(before)) return encodeWith(this.#inner, text)
    if (this.#format.prefix === 'first') return encodeWith(this.#withoutPrefix(), text)
    // The space is put in front of what follows an added token, not of what goes on from `before`.
    const token = this.#firstAdded(text)
    return [
      ...encodeWith(this.#withoutPrefix(), text.slice(0, token)),
      ...encodeWith(this.#inner, text.slice(token)),
    ]
  }

  encodeMarked(text: string, mark: string | undefined, before = ''): number[] {
    if (mark === undefined && !this.#normalizes) return this.encode(text, before)
    return this.#marked.encode(text, mark, this.#continues(before))
  }

  /** Special tokens are kept as their text; bytes that are no UTF-8 become U+FFFD. */
  decode(tokens: ArrayLike<number>, { continues = false } = {}): string {
    if (!isArrayLike(tokens)) throw new InvalidOptionError('tokens', 'a list of token ids', tokens)
    // By position: an array that was transferred away has no tokens any more, and cannot be iterated.
    const pieces = Array.from({ length: tokens.length }, (_, index) => this.#piece(tokens[index] as number))
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

  absentTokens(size: number): Int32Array {
    const present = new Set(this.#ids.values())
    return Int32Array.from(Array.from({ length: size }, (_, id) => id).filter((id) => !present.has(id)))
  }

  tokenBytes(): Uint8Array[] {
    return this.#pieces.map((piece, id) => (this.#special.has(id) ? new Uint8Array(0) : piece))
  }

  #piece(token: number): Uint8Array {
    const piece = this.#pieces[token]
    if (piece) return piece
    if (Number.isInteger(token) && token >= this.vocabSize) return noBytes
    throw new InvalidOptionError('tokens', 'ids of tokens, whole numbers from 0 on', token)
  }

  /** Whether a text that stands after `before` is encoded without the space that is put in front of a text. */
  #continues(before: string): boolean {
    const { prefix } = this.#format
    if (prefix === 'never' || before === '') return false
    return prefix === 'first' || !this.#added.some(({ content }) => before.endsWith(content))
  }

  /** Encoders of text alone. */
  #encoders(): PieceEncoders {
    const { tokenizer, config = {} } = this.#files
    const { prefix } = this.#format
    const json = withoutControlTokens(tokenizer)
    const text = new HuggingFaceTokenizer(json, config)
    const going = prefix === 'never' ? text : new HuggingFaceTokenizer(withoutPrefix(json), config)
    return {
      prefix,
      beginning: (part) => encodeWith(text, part),
      continuing: (part) => encodeWith(going, part),
    }
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
