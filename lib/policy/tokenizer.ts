// Byte-level BPE tokenizers in Hugging Face's tokenizer.json format. @huggingface/tokenizers splits and merges; decoding is
// done here from bytes, because a policy samples any list of tokens, halves of characters included.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import { HdpoError } from '../errors.js'
import { charactersToBytes } from './byte-alphabet.js'
import type { Tokenizer } from './types.js'

type Json = Record<string, unknown>

export interface TokenizerFiles {
  /** tokenizer.json */
  tokenizer: Json
  /** tokenizer_config.json; default: empty. */
  config?: Json
}

interface AddedToken {
  id: number
  content: string
  special?: boolean
}

/** From a folder with tokenizer.json (and tokenizer_config.json where there is one), or from their contents. */
export function loadTokenizer(source: string | TokenizerFiles): Tokenizer {
  return new ByteLevelTokenizer(typeof source === 'string' ? readTokenizerFiles(source) : source)
}

export function readTokenizerFiles(folder: string): TokenizerFiles {
  const config = readJson(join(folder, 'tokenizer_config.json'), true)
  return { tokenizer: readJson(join(folder, 'tokenizer.json'), false) as Json, ...(config && { config }) }
}

class ByteLevelTokenizer implements Tokenizer {
  readonly vocabSize: number
  readonly #inner: HuggingFaceTokenizer
  readonly #ids: ReadonlyMap<string, number>
  /** What each token decodes to, special tokens to their own text. */
  readonly #pieces: Uint8Array[]
  readonly #special = new Set<number>()

  constructor({ tokenizer, config }: TokenizerFiles) {
    const { vocabulary, addedTokens } = checkTokenizer(tokenizer)
    this.#ids = new Map([
      ...vocabulary,
      ...addedTokens.map((token): [string, number] => [token.content, token.id]),
    ])
    this.vocabSize = [...this.#ids.values()].reduce((largest, id) => Math.max(largest, id), -1) + 1
    // Ids that no entry has (some vocabularies have gaps) decode to nothing.
    this.#pieces = Array.from({ length: this.vocabSize }, () => new Uint8Array(0))
    for (const [entry, id] of vocabulary) this.#pieces[id] = bytesOf(entry)
    for (const token of addedTokens) {
      this.#pieces[token.id] = new TextEncoder().encode(token.content)
      if (token.special) this.#special.add(token.id)
    }
    this.#inner = new HuggingFaceTokenizer(tokenizer, config ?? {})
  }

  encode(text: string): number[] {
    return this.#inner.encode(text, { add_special_tokens: false }).ids
  }

  /** Special tokens are kept as their text; bytes that are no UTF-8 become U+FFFD. */
  decode(tokens: ArrayLike<number>): string {
    const pieces = Array.from(tokens, (token) => this.#piece(token))
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(pieces))
  }

  tokenId(token: string): number | undefined {
    return this.#ids.get(token)
  }

  tokenBytes(): Uint8Array[] {
    return this.#pieces.map((piece, id) => (this.#special.has(id) ? new Uint8Array(0) : piece))
  }

  #piece(token: number): Uint8Array {
    const piece = this.#pieces[token]
    if (!piece) throw new RangeError(`token ${token} is not in the vocabulary of ${this.vocabSize} tokens`)
    return piece
  }
}

function checkTokenizer(json: Json): { vocabulary: Map<string, number>; addedTokens: AddedToken[] } {
  const model = json.model as { type?: string; vocab?: Record<string, number> } | undefined
  if (model?.type !== 'BPE' || !model.vocab) {
    throw new HdpoError(
      'ERR_TOKENIZER',
      `tokenizer.json: only "BPE" models are supported, got ${JSON.stringify(model?.type)}`,
    )
  }
  if (!usesByteLevel(json.pre_tokenizer) && !usesByteLevel(json.decoder)) {
    throw new HdpoError(
      'ERR_TOKENIZER',
      'tokenizer.json: only byte-level BPE is supported (no "ByteLevel" in pre_tokenizer or decoder)',
    )
  }
  return {
    vocabulary: new Map(Object.entries(model.vocab)),
    addedTokens: (json.added_tokens ?? []) as AddedToken[],
  }
}

function usesByteLevel(component: unknown): boolean {
  const { type, pretokenizers, decoders } = (component ?? {}) as {
    type?: string
    pretokenizers?: unknown[]
    decoders?: unknown[]
  }
  return type === 'ByteLevel' || [...(pretokenizers ?? []), ...(decoders ?? [])].some(usesByteLevel)
}

function bytesOf(entry: string): Uint8Array {
  // Entries outside the alphabet are added tokens that the vocabulary lists too.
  return charactersToBytes(entry) ?? new TextEncoder().encode(entry)
}

function readJson(path: string, optional: boolean): Json | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Json
  } catch (error) {
    if (optional && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new HdpoError('ERR_TOKENIZER', `cannot read ${path}: ${(error as Error).message}`, { cause: error })
  }
}
