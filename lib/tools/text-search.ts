// Full-text search over a user's own documents, in memory (BM25, minisearch): an index, and the tool over it.
import MiniSearch from 'minisearch'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { defineTool } from './define-tool.js'
import { type Passage, toPassages } from './text-search/passages.js'
import { type DocumentFields, readDocuments, type TextDocument } from './text-search/read-documents.js'
import type { FinishedToolCall, Tool } from './types.js'

export type { DocumentFields, TextDocument }

export interface TextIndexOptions {
  /** Of JSONL lines. */
  fields?: DocumentFields
  /** Longest passage in characters. Default 1,000. */
  passageCharacters?: number
}

export interface SearchResult extends Passage {
  /** Comparable within one search. */
  score: number
}

export interface TextIndex {
  readonly documents: number
  readonly passages: number
  /** Best first, ties in order of the documents. */
  search(query: string, limit?: number): SearchResult[]
}

export interface SearchToolOptions {
  index: TextIndex
  /** Default 'search'. */
  name?: string
  description?: string
  /** Passages of one result. Default 3. */
  results?: number
  cost?: number | ((call: FinishedToolCall) => number)
}

/**
 * From paths of files and folders (Markdown, text, JSONL), or from documents. Rejects, naming file and line, for what
 * cannot be read; for two documents of one id; and where there is nothing to index.
 */
export async function buildTextIndex(
  source: string | readonly string[] | Iterable<TextDocument> | AsyncIterable<TextDocument>,
  { fields = {}, passageCharacters = 1000 }: TextIndexOptions = {},
): Promise<TextIndex> {
  checkCount('passageCharacters', passageCharacters, 50)
  const passages: Passage[] = []
  const ids = new Set<string>()
  for await (const document of documentsOf(source, fields)) {
    checkDocument(document, ids)
    ids.add(document.id)
    passages.push(...toPassages(document, passageCharacters))
  }
  if (passages.length === 0) {
    const where = typeof source === 'string' ? source : 'what was given'
    throw new HdpoError('ERR_DATA', `there is no text to index in ${where}`)
  }
  return createIndex(passages, ids.size)
}

/** What a policy searches with. */
export function searchTool({
  index,
  name = 'search',
  description,
  results = 3,
  cost,
}: SearchToolOptions): Tool<{ query: string }> {
  if (typeof index?.search !== 'function') {
    throw new TypeError(
      `index: must be made by buildTextIndex, got ${index === null ? 'null' : typeof index}`,
    )
  }
  checkCount('results', results, 1)
  return defineTool({
    name,
    description: description ?? 'Full-text search over documents. Returns the passages that match best.',
    input: z.object({ query: z.string().min(1).max(1000) }),
    ...(cost !== undefined && { cost }),
    run: ({ query }) => describe(index.search(query, results), query),
  })
}

function describe(results: readonly SearchResult[], query: string): string {
  if (results.length === 0) return `No results for "${query}".`
  return results
    .map(
      ({ documentId, title, text }, index) =>
        `[${index + 1}] ${title ? `${title} (${documentId})` : documentId}\n${text}`,
    )
    .join('\n\n')
}

function documentsOf(
  source: string | readonly string[] | Iterable<TextDocument> | AsyncIterable<TextDocument>,
  fields: DocumentFields,
): Iterable<TextDocument> | AsyncIterable<TextDocument> {
  if (typeof source === 'string') return readDocuments([source], fields)
  if (Array.isArray(source) && source.every((item) => typeof item === 'string'))
    return readDocuments(source, fields)
  return source as Iterable<TextDocument> | AsyncIterable<TextDocument>
}

function createIndex(passages: readonly Passage[], documents: number): TextIndex {
  const engine = new MiniSearch({
    fields: ['title', 'text'],
    processTerm: (term) => plainLetters(term),
    searchOptions: {
      boost: { title: 2 },
      // An ending or a letter off still finds, and ranks below what matches.
      prefix: (term) => term.length >= 4,
      fuzzy: (term) => (term.length >= 5 ? 0.2 : false),
      weights: { prefix: 0.3, fuzzy: 0.2 },
    },
  })
  engine.addAll(passages.map(({ title, text }, id) => ({ id, title, text })))
  return {
    documents,
    passages: passages.length,
    search(query, limit = 3) {
      checkCount('limit', limit, 1)
      return engine
        .search(query)
        .sort((left, right) => right.score - left.score || left.id - right.id)
        .slice(0, limit)
        .map(({ id, score }) => ({ ...(passages[id] as Passage), score }))
    },
  }
}

/** Lower case, without accents: as people type. */
function plainLetters(term: string): string {
  return term.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase()
}

function checkDocument({ id, text }: TextDocument, ids: ReadonlySet<string>): void {
  if (typeof id !== 'string' || typeof text !== 'string') {
    throw new TypeError(
      `documents: must be { id, text, title? }, got { id: ${typeof id}, text: ${typeof text} }`,
    )
  }
  if (ids.has(id)) throw new RangeError(`documents: two have the id "${id}"`)
}

function checkCount(name: string, value: unknown, least: number): void {
  if (typeof value !== 'number') throw new TypeError(`${name}: must be a number, got ${typeof value}`)
  if (!Number.isSafeInteger(value) || value < least)
    throw new RangeError(`${name}: must be a whole number of at least ${least}, got ${value}`)
}
