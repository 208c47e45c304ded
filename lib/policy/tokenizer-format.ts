// What kind of tokenizer a tokenizer.json holds: how its entries are bytes, and how it marks the beginning of a text.
import { HdpoError } from '../core/errors.js'
import { charactersToBytes } from './byte-alphabet.js'

export type Json = Record<string, unknown>

/** What SentencePiece writes for a space. */
const spaceMark = '\u2581'

/**
 * 'byte-level': every byte has a character (GPT-2, Qwen, Llama 3). 'byte-fallback': text with ▁ for spaces, and <0x0A> for
 * bytes that no entry covers (Llama 2, Mistral).
 */
type TokenizerKind = 'byte-level' | 'byte-fallback'

/**
 * Where the tokenizer puts a space that the text does not have: nowhere, at the beginning, or after every added token too.
 */
export type PrefixScheme = 'never' | 'first' | 'always'

export interface TokenizerFormat {
  kind: TokenizerKind
  prefix: PrefixScheme
}

interface Component {
  type?: string
  normalizers?: Component[]
  pretokenizers?: Component[]
  decoders?: Component[]
  pattern?: { String?: string }
  content?: string
  prepend?: string
  replacement?: string
  prepend_scheme?: PrefixScheme
  add_prefix_space?: boolean
}

/** Refuses by name what could not be encoded and decoded exactly. */
export function tokenizerFormat(json: Json): TokenizerFormat {
  const refuse = (message: string): never => {
    throw new HdpoError('ERR_TOKENIZER', `tokenizer.json: ${message}`)
  }
  const model = json.model as { type?: string; vocab?: unknown; byte_fallback?: boolean } | undefined
  if (model?.type !== 'BPE' || !model.vocab) {
    return refuse(`only "BPE" models are supported, got ${JSON.stringify(model?.type)}`)
  }
  const parts = [json.normalizer, json.pre_tokenizer, json.decoder].flatMap(componentsOf)
  const prefix = prefixScheme(parts)
  if (parts.some(({ type }) => type === 'ByteLevel')) return { kind: 'byte-level', prefix }
  if (!parts.some(marksSpaces) || model.byte_fallback !== true) {
    return refuse(
      'only byte-level BPE ("ByteLevel" in pre_tokenizer or decoder) and BPE with "▁" for spaces and "byte_fallback" are ' +
        `supported; got the parts ${parts.map(({ type }) => type).join(', ') || 'none'}`,
    )
  }
  return { kind: 'byte-fallback', prefix }
}

/** The same tokenizer without the space that it puts in front. */
export function withoutPrefix(json: Json): Json {
  const strip = (component: unknown): unknown => {
    if (Array.isArray(component)) return component.map(strip).filter((part) => part !== undefined)
    if (typeof component !== 'object' || component === null) return component
    const part = component as Component
    if (part.type === 'Prepend') return undefined
    return {
      ...part,
      ...(part.normalizers && { normalizers: strip(part.normalizers) }),
      ...(part.pretokenizers && { pretokenizers: strip(part.pretokenizers) }),
      ...(part.type === 'Metaspace' && { prepend_scheme: 'never', add_prefix_space: false }),
      ...(part.type === 'ByteLevel' && { add_prefix_space: false }),
    }
  }
  return {
    ...json,
    normalizer: strip(json.normalizer) ?? null,
    pre_tokenizer: strip(json.pre_tokenizer) ?? null,
  }
}

/** The bytes that a vocabulary entry decodes to. */
export function entryBytes(entry: string, kind: TokenizerKind): Uint8Array {
  // Entries outside the alphabet are added tokens that the vocabulary lists too.
  if (kind === 'byte-level') return charactersToBytes(entry) ?? new TextEncoder().encode(entry)
  const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(entry)?.[1]
  if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16))
  return new TextEncoder().encode(entry.replaceAll(spaceMark, ' '))
}

function componentsOf(component: unknown): Component[] {
  if (typeof component !== 'object' || component === null) return []
  const part = component as Component
  const inner = [part.normalizers, part.pretokenizers, part.decoders].flatMap((parts) => parts ?? [])
  return [part, ...inner.flatMap(componentsOf)].filter(({ type }) => type !== 'Sequence')
}

function marksSpaces({ type, pattern, content, replacement }: Component): boolean {
  if (type === 'Metaspace') return replacement === spaceMark
  return type === 'Replace' && pattern?.String === ' ' && content === spaceMark
}

function prefixScheme(parts: readonly Component[]): PrefixScheme {
  // The same settings of a decoder say which spaces are taken off again, so that the parts agree.
  if (parts.some(({ type }) => type === 'Prepend')) return 'always'
  const metaspace = parts.find(({ type }) => type === 'Metaspace')
  if (metaspace)
    return metaspace.prepend_scheme ?? (metaspace.add_prefix_space === false ? 'never' : 'always')
  return 'never'
}
