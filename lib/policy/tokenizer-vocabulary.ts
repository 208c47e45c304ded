// Checks the entries of a tokenizer.json before anything is made from them: ids, added tokens, merges.
import { inspect } from 'node:util'
import { HdpoError } from '../core/errors.js'
import type { Json } from './tokenizer-format.js'

/** Above the ids of every published tokenizer (the largest has some 260,000), and little enough to allocate. */
const largestId = 2 ** 21 - 1

/** A text that is one token wherever it stands. */
export interface AddedToken {
  id: number
  content: string
  special?: boolean
  /** It is looked for in normalised text. Default: where it is not special. */
  normalized?: boolean
  /** White space before it belongs to it. */
  lstrip?: boolean
  /** White space after it belongs to it. */
  rstrip?: boolean
}

export interface Vocabulary {
  /** Entries as they are written, with their ids. */
  entries: [entry: string, id: number][]
  added: AddedToken[]
}

/** Throws HdpoError ERR_TOKENIZER, naming the entry: what is wrong here would encode to other tokens than the model knows, or take all memory. */
export function readVocabulary(json: Json): Vocabulary {
  const { vocab, merges, continuing_subword_prefix: prefix } = json.model as Json
  if (!isObject(vocab)) throw refused('model.vocab must be an object of entries and ids')
  const entries = Object.entries(vocab) as [string, number][]
  const owners = new Map<number, string>()
  for (const [entry, id] of entries) claim(owners, id, entry, `model.vocab[${JSON.stringify(entry)}]`)
  const added = readAdded(json.added_tokens, new Map(entries), owners)
  checkMerges(merges, vocab as Record<string, unknown>, typeof prefix === 'string' ? prefix.length : 0)
  return { entries, added }
}

/** An added token may repeat an entry of the vocabulary, under the same id. */
function readAdded(
  value: unknown,
  entries: ReadonlyMap<string, number>,
  owners: Map<number, string>,
): AddedToken[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw refused('added_tokens must be a list')
  const seen = new Set<string>()
  for (const [index, token] of value.entries()) {
    const place = `added_tokens[${index}]`
    if (!isObject(token) || typeof token.content !== 'string') {
      throw refused(`${place} must be an object with an id and its text in "content"`)
    }
    const { content, id } = token
    if (seen.has(content)) throw refused(`${place}: ${JSON.stringify(content)} is an added token twice`)
    seen.add(content)
    const known = entries.get(content)
    if (known === undefined) claim(owners, id, content, `${place}.id`)
    else if (known !== id) {
      throw refused(
        `${place}.id: ${JSON.stringify(content)} is ${show(id)} here, but ${known} in model.vocab`,
      )
    }
  }
  return value as AddedToken[]
}

function claim(owners: Map<number, string>, id: unknown, entry: string, place: string): void {
  if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > largestId) {
    throw refused(`${place} must be an integer from 0 to ${largestId}, got ${show(id)}`)
  }
  const owner = owners.get(id as number)
  if (owner !== undefined) {
    throw refused(`${place}: the id ${id} is that of ${JSON.stringify(owner)} already`)
  }
  owners.set(id as number, entry)
}

/** Every merge joins two entries into a third, as Hugging Face's own reader demands. */
function checkMerges(merges: unknown, vocab: Record<string, unknown>, prefixLength: number): void {
  if (!Array.isArray(merges)) throw refused('model.merges must be a list')
  for (let index = 0; index < merges.length; index++) {
    const merge = merges[index] as unknown
    const parts = typeof merge === 'string' ? merge.split(' ') : merge
    if (!Array.isArray(parts) || parts.length !== 2 || !parts.every((part) => typeof part === 'string')) {
      throw refused(`model.merges[${index}] must be two entries, got ${show(merge)}`)
    }
    const [left, right] = parts as [string, string]
    const unknown = [left, right, left + right.slice(prefixLength)].find(
      (part) => !Object.hasOwn(vocab, part),
    )
    if (unknown !== undefined) {
      throw refused(`model.merges[${index}]: ${JSON.stringify(unknown)} is not in the vocabulary`)
    }
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** As JSON, which it comes from; a tokenizer that a caller made may hold what JSON cannot: a circle, a BigInt. */
function show(value: unknown): string {
  let text: string
  try {
    text = JSON.stringify(value) ?? String(value)
  } catch {
    text = inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY })
  }
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

function refused(message: string): HdpoError {
  return new HdpoError('ERR_TOKENIZER', `tokenizer.json: ${message}`)
}
