// Reads documents from files: one document per Markdown or text file, one per line of JSONL.

import { readdir, stat } from 'node:fs/promises'
import { extname, join, relative, sep } from 'node:path'
import { z } from 'zod'
import { HdpoError } from '../../core/errors.js'
import { jsonProblem, parseJsonKeeping } from '../../core/exact-json.js'
import { text } from '../../core/option-kinds.js'
import type { OptionsOf } from '../../core/options.js'
import { reasonOf } from '../../core/system-error.js'
import { readLines, readText } from '../../core/text-file.js'

export interface TextDocument {
  /** Unique; results are cited by it. */
  id: string
  text: string
  title?: string
  /** Whether lines that begin with '# ' are headings. Default false. */
  markdown?: boolean
}

/** Names of the fields in a line of JSONL. */
export const documentFieldShape = {
  /** The text's field. Default: the first of text, contents, content, body, passage that exists. */
  text: text.optional(),
  /** The title's field. Default: title. */
  title: text.default('title'),
  /** The id's field; a line without an id is cited by file and line. Default: id. */
  id: text.default('id'),
}
export const documentFields = z.strictObject(documentFieldShape)
export interface DocumentFields extends OptionsOf<typeof documentFieldShape> {}
type ResolvedFields = z.output<typeof documentFields>

const markdown = ['.md', '.mdx', '.markdown']
const plain = ['.txt', '.text', '.rst']
const lines = ['.jsonl', '.ndjson']
const readable = [...markdown, ...plain, ...lines]
const usualTextFields = ['text', 'contents', 'content', 'body', 'passage']

/** Reads all supported files of folders, in the order of their names. A file that is named itself has to be of a supported kind. */
export async function* readDocuments(
  paths: readonly string[],
  fields: ResolvedFields,
): AsyncGenerator<TextDocument> {
  for (const path of paths) {
    if ((await statOf(path)).isDirectory()) yield* readFolder(path, fields)
    else yield* readFileAt(path, path, fields)
  }
}

async function statOf(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    throw new HdpoError('ERR_DATA', `cannot read ${path}: ${reasonOf(error)}`, { cause: error })
  }
}

async function* readFolder(folder: string, fields: ResolvedFields): AsyncGenerator<TextDocument> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile() && readable.includes(extname(entry.name).toLowerCase()))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !isHidden(relative(folder, path)))
    .sort()
  for (const path of files) yield* readFileAt(path, relative(folder, path), fields)
}

function isHidden(path: string): boolean {
  return path.split(sep).some((part) => part.startsWith('.') || part === 'node_modules')
}

async function* readFileAt(path: string, id: string, fields: ResolvedFields): AsyncGenerator<TextDocument> {
  const extension = extname(path).toLowerCase()
  if (lines.includes(extension)) yield* documentLines(path, id, fields)
  else if (markdown.includes(extension)) yield { id, text: await readText(path, 'ERR_DATA'), markdown: true }
  else if (plain.includes(extension)) yield { id, text: await readText(path, 'ERR_DATA') }
  else throw new HdpoError('ERR_DATA', `cannot index ${path}: only ${readable.join(', ')} can be read`)
}

async function* documentLines(
  path: string,
  name: string,
  fields: ResolvedFields,
): AsyncGenerator<TextDocument> {
  for await (const { text, line } of readLines(path, 'ERR_DATA')) {
    if (text.trim() !== '') yield parseLine(text, `${name}:${line}`, fields)
  }
}

function parseLine(line: string, where: string, fields: ResolvedFields): TextDocument {
  const record = parseObject(line, where)
  const textField = fields.text ?? usualTextFields.find((field) => typeof record[field] === 'string')
  const text = textField === undefined ? undefined : record[textField]
  if (typeof text !== 'string') {
    const wanted = fields.text ?? usualTextFields.join(', ')
    throw new HdpoError(
      'ERR_DATA',
      `${where}: has no text under ${wanted}; its fields are ${Object.keys(record).join(', ')}`,
    )
  }
  const title = record[fields.title]
  const id = record[fields.id]
  return {
    id: id === undefined || id === null ? where : String(id),
    text,
    ...(typeof title === 'string' && { title }),
  }
}

function parseObject(line: string, where: string): Record<string, unknown> {
  let record: unknown
  try {
    record = parseJsonKeeping(line, 'unheld')
  } catch (error) {
    throw new HdpoError('ERR_DATA', `${where}: ${jsonProblem(error)}`, { cause: error })
  }
  if (typeof record !== 'object' || record === null || Array.isArray(record)) {
    throw new HdpoError('ERR_DATA', `${where}: must be an object, got ${line.slice(0, 60)}`)
  }
  return record as Record<string, unknown>
}
