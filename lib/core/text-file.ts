// The one reader of text files. Text is UTF-8, with or without a byte order mark. What is no UTF-8 is refused with its place: decoded
// leniently, Latin-1 would become U+FFFD, and a policy would be trained on it.
import { isUtf8 } from 'node:buffer'
import { createReadStream, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { ErrorCode } from './error-codes.js'
import { HdpoError } from './errors.js'
import { reasonOf } from './system-error.js'

const newline = 10

/** Rejects with an HdpoError of this code where the file cannot be read or is no UTF-8. */
export async function readText(path: string, code: ErrorCode): Promise<string> {
  const bytes = await readFile(path).catch((error: Error) => {
    throw cannotRead(path, code, error)
  })
  return decodeText(bytes, path, code)
}

/** As readText, without waiting. */
export function readTextSync(path: string, code: ErrorCode): string {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw cannotRead(path, code, error)
  }
  return decodeText(bytes, path, code)
}

/** The text of a whole file. `path` names it in errors. */
export function decodeText(bytes: Buffer, path: string, code: ErrorCode): string {
  refuseOtherMarks(bytes, path, code)
  if (!isUtf8(bytes)) {
    const at = firstWrongByte(bytes)
    const line = 1 + bytes.subarray(0, at).reduce((count, byte) => count + (byte === newline ? 1 : 0), 0)
    throw notUtf8(path, code, { line, byte: bytes[at], at })
  }
  return withoutByteOrderMark(bytes.toString('utf8'))
}

/**
 * The lines of a file of any size, read in pieces. Lines end with \n alone; node:readline would also cut at U+2028, which JSON text
 * may hold as it is. A line is decoded whole: no character is cut by a piece's end. A \r before the \n stays.
 */
export async function* readLines(
  path: string,
  code: ErrorCode,
  signal?: AbortSignal,
): AsyncGenerator<{ text: string; line: number }, void, void> {
  let line = 0
  for await (const { bytes, start } of rawLines(path, code, signal)) {
    line++
    if (line === 1) refuseOtherMarks(bytes, path, code)
    if (!isUtf8(bytes)) {
      const at = firstWrongByte(bytes)
      throw notUtf8(path, code, { line, byte: bytes[at], at: start + at })
    }
    const text = bytes.toString('utf8')
    yield { text: line === 1 ? withoutByteOrderMark(text) : text, line }
  }
}

/** `start`: the byte offset of the line in the file. A last line without \n counts, unless it is empty. */
async function* rawLines(
  path: string,
  code: ErrorCode,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ bytes: Buffer; start: number }, void, void> {
  let rest: Buffer[] = []
  let start = 0
  for await (const piece of pieces(path, code)) {
    signal?.throwIfAborted()
    let from = 0
    for (let end = piece.indexOf(newline); end !== -1; end = piece.indexOf(newline, from)) {
      const bytes = Buffer.concat([...rest, piece.subarray(from, end)])
      rest = []
      from = end + 1
      yield { bytes, start }
      start += bytes.length + 1
    }
    rest.push(piece.subarray(from))
  }
  const bytes = Buffer.concat(rest)
  if (bytes.length > 0) yield { bytes, start }
}

async function* pieces(path: string, code: ErrorCode): AsyncGenerator<Buffer, void, void> {
  try {
    yield* createReadStream(path) as AsyncIterable<Buffer>
  } catch (error) {
    throw cannotRead(path, code, error)
  }
}

/** Text in UTF-16 or UTF-32 that says so by its byte order mark. */
function refuseOtherMarks(bytes: Buffer, path: string, code: ErrorCode): void {
  const start = bytes.subarray(0, 4).toString('hex')
  const wide = start === 'fffe0000' || start === '0000feff'
  if (!wide && !start.startsWith('fffe') && !start.startsWith('feff')) return
  const name = wide ? 'UTF-32' : 'UTF-16'
  throw new HdpoError(code, `${path}: is ${name}, as its byte order mark says: save it as UTF-8`)
}

/** Where the first character that is no UTF-8 begins, in bytes that have one. */
function firstWrongByte(bytes: Buffer): number {
  let at = 0
  while (at < bytes.length) {
    const length = characterLength(bytes[at] as number)
    if (length > 1 ? !isUtf8(bytes.subarray(at, at + length)) : length === 0) return at
    at += length
  }
  return at
}

/** Bytes of the character that begins with this one; 0 where none does. */
function characterLength(first: number): number {
  if (first < 0x80) return 1
  if (first < 0xc2) return 0
  if (first < 0xe0) return 2
  return first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0
}

function notUtf8(
  path: string,
  code: ErrorCode,
  { line, byte = 0, at }: { line: number; byte: number | undefined; at: number },
): HdpoError {
  const shown = byte.toString(16).toUpperCase().padStart(2, '0')
  return new HdpoError(
    code,
    `${path}:${line}: is not UTF-8: byte 0x${shown} at offset ${at}; save it as UTF-8`,
  )
}

function withoutByteOrderMark(text: string): string {
  return text.startsWith('\u{feff}') ? text.slice(1) : text
}

function cannotRead(path: string, code: ErrorCode, error: unknown): HdpoError {
  return new HdpoError(code, `cannot read ${path}: ${reasonOf(error)}`, { cause: error })
}
