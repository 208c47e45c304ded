// The one reader of JSON that users, models and servers bring. JSON.parse rounds what a JavaScript number does not hold: an order's
// number 7301456228930019841 becomes that of another order. Here such a number is refused by its path, or kept as its text.
import { randomUUID } from 'node:crypto'
import { ExactNumber, heldNumber } from './exact-number.js'
import { isRecord } from './is-record.js'

/** Levels of objects and lists. Deeper values overflow the stack of whoever walks through them afterwards; data has far fewer. */
export const deepest = 256

/** JSON that is refused though its syntax is right; the message says where and why. */
export class JsonRefusal extends Error {
  override readonly name = 'JsonRefusal'
  /** `path`: where the refused value is, '' where that is not known. */
  constructor(
    message: string,
    readonly path = '',
  ) {
    super(path === '' ? message : `${path}: ${message}`)
  }
}

// Stands in a text for a number, which is put back afterwards. Nobody who writes a text can know it.
const placeholder = `\u{e000}${randomUUID()}`

/**
 * The value of a JSON text. Throws SyntaxError where it is no JSON, as JSON.parse does, and JsonRefusal for an integer beyond
 * ±2^53 - 1, a number beyond the largest one, and more than 256 levels. `at`: what the value is called in messages ('arguments').
 */
export function parseJson(text: string, at = ''): unknown {
  return heldExactly(parseJsonKeeping(text, 'unheld'), at)
}

/**
 * As parseJson, but a number that JavaScript does not hold is an ExactNumber; with 'text' also one that it would write otherwise
 * (10.0, 1e3). heldExactly turns them into numbers, or refuses them, where it is known what for.
 */
export function parseJsonKeeping(text: string, kept: 'unheld' | 'text'): unknown {
  const numbers = numbersIn(text, kept === 'text' ? isWrittenOtherwise : isUnheld)
  const value: unknown = JSON.parse(text)
  if (numbers.length === 0) return value
  let marked = ''
  let end = 0
  for (const { start, number } of numbers) {
    marked += `${text.slice(end, start)}"${placeholder}${number}"`
    end = start + number.length
  }
  return withNumbers(JSON.parse(marked + text.slice(end)))
}

/**
 * `value` with a plain number for every ExactNumber and BigInt in it. What no number holds exactly throws a JsonRefusal that names
 * its path under `at`, or becomes its text. NaN and Infinity, which JSON has no form for, are refused.
 */
export function heldExactly(value: unknown, at: string, otherwise: 'refuse' | 'text' = 'refuse'): unknown {
  if (typeof value === 'bigint') return heldExactly(new ExactNumber(String(value)), at, otherwise)
  if (value instanceof ExactNumber) {
    const number = heldNumber(value.text)
    if (number === undefined && otherwise === 'refuse') throw new JsonRefusal(beyond(value.text), at)
    return number ?? value.text
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new JsonRefusal(`must be a finite number, got ${value}`, at)
  }
  if (isHeld(value)) return value
  if (Array.isArray(value)) return value.map((item, index) => heldExactly(item, `${at}[${index}]`, otherwise))
  return Object.fromEntries(
    Object.entries(value as object).map(([key, inner]) => [
      key,
      heldExactly(inner, pathTo(at, key), otherwise),
    ]),
  )
}

/** Refuses integers that another program's JSON.parse has rounded, by their path under `at`. */
export function refuseRounded(value: unknown, at: string): void {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new JsonRefusal(beyond(String(value)), at)
  }
  if (Array.isArray(value))
    for (const [index, item] of value.entries()) refuseRounded(item, `${at}[${index}]`)
  else if (isRecord(value))
    for (const [key, inner] of Object.entries(value)) refuseRounded(inner, pathTo(at, key))
}

/** Whether an ExactNumber or a BigInt is anywhere in a value of JSON's kinds. */
export function hasExactNumber(value: unknown): boolean {
  if (typeof value === 'bigint' || value instanceof ExactNumber) return true
  if (Array.isArray(value)) return value.some(hasExactNumber)
  return isRecord(value) && !ArrayBuffer.isView(value) && Object.values(value).some(hasExactNumber)
}

function isHeld(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value === 'bigint' || value instanceof ExactNumber) return false
  if (Array.isArray(value)) return value.every(isHeld)
  return !isRecord(value) || ArrayBuffer.isView(value) || Object.values(value).every(isHeld)
}

/** JSON text in which every ExactNumber stands as it was written, and every BigInt in digits. Undefined for what JSON leaves out. */
export function jsonText(value: unknown): string | undefined {
  if (!hasExactNumber(value)) return JSON.stringify(value)
  // JSON.stringify asks toJSON first, so that the replacer finds the number in the object that holds it.
  const marked = JSON.stringify(value, function (this: Record<string, unknown>, key, given: unknown) {
    const kept = this[key]
    return kept instanceof ExactNumber || typeof kept === 'bigint' ? `${placeholder}${kept}` : given
  })
  return marked.replaceAll(new RegExp(`"${placeholder}([^"]*)"`, 'g'), '$1')
}

/** What was wrong with a text that parseJson refused: 'not JSON: Unexpected token ...', or what a JsonRefusal says. */
export function jsonProblem(error: unknown, notJson = 'not JSON'): string {
  if (error instanceof JsonRefusal) return error.message
  if (error instanceof SyntaxError) return `${notJson}: ${error.message}`
  throw error
}

/** Up to 15 characters without a power of ten always fit. */
function isUnheld(number: string): boolean {
  return (number.length > 15 || /e/i.test(number)) && heldNumber(number) === undefined
}

function isWrittenOtherwise(number: string): boolean {
  return String(Number(number)) !== number || isUnheld(number)
}

/** Puts the numbers of parseJsonKeeping back, in the value itself. */
function withNumbers(value: unknown): unknown {
  if (typeof value === 'string') {
    return value.startsWith(placeholder) ? new ExactNumber(value.slice(placeholder.length)) : value
  }
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) value[index] = withNumbers(item)
  } else if (isRecord(value)) {
    for (const [key, inner] of Object.entries(value)) {
      const given = withNumbers(inner)
      // An assignment to __proto__ would not set a key.
      if (given !== inner)
        Object.defineProperty(value, key, {
          value: given,
          writable: true,
          enumerable: true,
          configurable: true,
        })
    }
  }
  return value
}

function beyond(text: string): string {
  const shown = text.length > 40 ? `${text.slice(0, 37)}...` : text
  const limit = Number.isFinite(Number(text))
    ? `the integers that a number holds exactly (±${Number.MAX_SAFE_INTEGER})`
    : `the largest number (${Number.MAX_VALUE})`
  return `${shown} is beyond ${limit}: write it as text`
}

function pathTo(at: string, key: string): string {
  if (!/^[\w$-]+$/.test(key)) return `${at}[${JSON.stringify(key)}]`
  return at === '' ? key : `${at}.${key}`
}

/** The numbers of a JSON text that `isMeant` accepts, without recursion. Throws a JsonRefusal where the text is nested too deep. */
function numbersIn(text: string, isMeant: (number: string) => boolean): { start: number; number: string }[] {
  const found: { start: number; number: string }[] = []
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at)
    if (character === quote) at = endOfText(text, at)
    else if (character === openingBrace || character === openingBracket) {
      if (++depth > deepest) throw new JsonRefusal(`nested deeper than ${deepest} levels`)
    } else if (character === closingBrace || character === closingBracket) depth--
    else if (isNumberPart(character)) {
      const start = at
      while (isNumberPart(text.charCodeAt(at + 1))) at++
      // A digit alone is written as it is.
      const number = at === start ? undefined : text.slice(start, at + 1)
      if (number !== undefined && isMeant(number)) found.push({ start, number })
    }
  }
  return found
}

const quote = 0x22
const backslash = 0x5c
const openingBrace = 0x7b
const closingBrace = 0x7d
const openingBracket = 0x5b
const closingBracket = 0x5d
const lowerE = 0x65

/** Index of the quote that ends a string, or the text's length where none does. */
function endOfText(text: string, opening: number): number {
  for (let end = text.indexOf('"', opening + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === backslash) slashes++
    if (slashes % 2 === 0) return end
  }
  return text.length
}

/** A digit, '+', '-', '.' or, within a number alone, the 'e' of a power of ten. */
function isNumberPart(character: number): boolean {
  if (character >= 0x30 && character <= 0x39) return true
  return character === 0x2d || character === 0x2e || character === 0x2b || (character | 0x20) === lowerE
}
