// Full-text search over a user's own documents, in memory (BM25, minisearch): the index, and the tool that searches it.
import MiniSearch from 'minisearch'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { functionIdentity, shortHash } from '../core/function-identity.js'
import { InvalidOptionError } from '../core/option-error.js'
import { count, kind } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { defineTool } from './define-tool.js'
import { type Passage, toPassages } from './text-search/passages.js'
import {
  type DocumentFields,
  documentFields,
  readDocuments,
  type TextDocument,
} from './text-search/read-documents.js'
import { toolCost, toolDescription, toolName } from './tool-options.js'
import type { Tool } from './types.js'

export type { DocumentFields, TextDocument }

export const textIndexShape = {
  /** Names of the fields in JSONL lines. */
  fields: documentFields.prefault({}),
  /** Characters of the longest passage. Default 1,000. */
  passageCharacters: z.int().min(50).default(1000),
}
const textIndexOptions = z.strictObject(textIndexShape)
export interface TextIndexOptions extends OptionsOf<typeof textIndexShape> {}

export interface SearchResult extends Passage {
  /** Comparable only within one search. */
  score: number
}

export interface TextIndex {
  readonly documents: number
  readonly passages: number
  /** Tells two indexes apart when a run is resumed. */
  readonly fingerprint?: string
  /** The best results first; equal scores in the order of the documents. */
  search(query: string, limit?: number): SearchResult[]
}

export const searchToolShape = {
  /** The index, as buildTextIndex returns it. */
  index: kind<TextIndex>(
    'what buildTextIndex returns',
    (value) => typeof (value as TextIndex | null)?.search === 'function',
  ),
  /** The name that the policy calls the tool by. Default 'search'. */
  name: toolName.default('search'),
  /** The description that the policy reads. Default: that it searches documents. */
  description: toolDescription.default(
    'Full-text search over documents. Returns the passages that match best.',
  ),
  /** Passages per result. Default 3. */
  results: count.default(3),
  /** What one call costs: a number, or a function of the finished call. Default: the reward counts calls. */
  cost: toolCost.optional(),
}
const searchToolOptions = z.strictObject(searchToolShape)
export interface SearchToolOptions extends OptionsOf<typeof searchToolShape> {}

/**
 * Indexes files and folders (Markdown, text, JSONL) by path, or documents given as objects. Rejects, naming file and line, for
 * what cannot be read; also for two documents with one id, and where there is nothing to index.
 */
export async function buildTextIndex(
  source: string | readonly string[] | Iterable<TextDocument> | AsyncIterable<TextDocument>,
  options: TextIndexOptions = {},
): Promise<TextIndex> {
  const { fields, passageCharacters } = readOptions(textIndexOptions, options, 'buildTextIndex')
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

/** A tool that searches the index. Throws InvalidOptionError. */
export function searchTool(options: SearchToolOptions): Tool<{ query: string }> {
  const { index, results, ...tool } = readOptions(searchToolOptions, options, 'searchTool')
  return defineTool({
    ...tool,
    input: z.object({ query: z.string().min(1).max(1000) }),
    identity: { documents: index.fingerprint ?? functionIdentity(index.search), results },
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
  fields: Parameters<typeof readDocuments>[1],
): Iterable<TextDocument> | AsyncIterable<TextDocument> {
  if (typeof source === 'string') return readDocuments([source], fields)
  if (Array.isArray(source) && Array.from(source).every((item) => typeof item === 'string'))
    return readDocuments(source, fields)
  const given = source as { [Symbol.iterator]?: unknown; [Symbol.asyncIterator]?: unknown } | null | undefined
  const isObject = typeof given === 'object' && !ArrayBuffer.isView(given)
  if (isObject && (given?.[Symbol.iterator] ?? given?.[Symbol.asyncIterator]))
    return source as Iterable<TextDocument> | AsyncIterable<TextDocument>
  throw new InvalidOptionError('source', 'a path, paths, or documents as a list or an async iterable', source)
}

function createIndex(passages: readonly Passage[], documents: number): TextIndex {
  const engine = new MiniSearch({
    fields: ['title', 'text'],
    processTerm: (term) => plainLetters(term),
    searchOptions: {
      boost: { title: 2 },
      // Prefixes and misspellings by a letter also match, with a lower rank.
      prefix: (term) => term.length >= 4,
      fuzzy: (term) => (term.length >= 5 ? 0.2 : false),
      weights: { prefix: 0.3, fuzzy: 0.2 },
    },
  })
  engine.addAll(passages.map(({ title, text }, id) => ({ id, title, text })))
  return {
    documents,
    passages: passages.length,
    fingerprint: shortHash(passages.map((passage) => JSON.stringify(passage)).join('\n')),
    search(query, limit = 3) {
      const most = readOptions(count, limit, 'limit')
      return engine
        .search(query)
        .sort((left, right) => right.score - left.score || left.id - right.id)
        .slice(0, most)
        .map(({ id, score }) => ({ ...(passages[id] as Passage), score }))
    },
  }
}

/** Lower case without accents, so that queries match as people type them. */
function plainLetters(term: string): string {
  return term.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase()
}

function checkDocument(document: TextDocument, ids: ReadonlySet<string>): void {
  const { id, text } = (document ?? {}) as Partial<TextDocument>
  const option = `documents[${ids.size}]`
  if (typeof id !== 'string' || typeof text !== 'string') {
    throw new InvalidOptionError(option, 'a document: { id, text, title? }', document)
  }
  if (ids.has(id)) throw new InvalidOptionError(`${option}.id`, 'no id of a document before it', id)
}
