// Regular expressions in time linear in the text (RE2), for patterns that run over what a model wrote: JavaScript's own engine may try
// a text like 'aaaaaaaaaaaaaaaaaaaaaaaaaaaa!' in every way that a pattern like ^(a+)+$ allows, and block the process for hours.
import { RE2JS } from 're2js'

export interface TextPattern {
  test(text: string): boolean
}

/**
 * The same pattern as `new RegExp(source, flags)`, in linear time; undefined where RE2 cannot express it (look-around, references to
 * groups, repetition beyond 1,000, the flags m and v). Throws SyntaxError where it is no pattern of JavaScript. A character beyond
 * U+FFFF counts as one, as with the flag u.
 */
export function linearPattern(source: string, flags = ''): TextPattern | undefined {
  new RegExp(source, flags)
  if (/[mv]/.test(flags)) return undefined
  const translated = new Translation(source, flags.includes('u'), flags.includes('s')).translate()
  return translated === undefined
    ? undefined
    : compiled(translated, flags.includes('i') ? RE2JS.CASE_INSENSITIVE : 0)
}

/** `pattern` in linear time where that is possible, else itself. */
export function safestPattern(pattern: RegExp): TextPattern {
  return linearPattern(pattern.source, pattern.flags.replace(/[dgy]/g, '')) ?? pattern
}

/** A pattern of another dialect (Go, Python, PCRE) as RE2 reads it; undefined where it cannot. */
export function foreignPattern(source: string): TextPattern | undefined {
  return compiled(source.replace(/\\Z$/, '\\z'), 0)
}

function compiled(source: string, flags: number): TextPattern | undefined {
  try {
    const pattern = RE2JS.compile(source, flags)
    return { test: (text) => pattern.matcher(text).find() }
  } catch {
    // RE2 does not have what the pattern asks for; its message says no more.
    return undefined
  }
}

// What JavaScript calls white space, and all else, as parts of a class.
const space =
  '\\t-\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}'
const notSpace =
  '\\x{0}-\\x{8}\\x{e}-\\x{1f}!-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}'
const lineEnds = '\\n\\r\\x{2028}\\x{2029}'
const anything = '[\\x{0}-\\x{10ffff}]'
const nothing = '[^\\x{0}-\\x{10ffff}]'
const controls: Record<string, string> = { t: '\\t', n: '\\n', v: '\\v', f: '\\f', r: '\\r' }

/** Reads a pattern that is known to be valid from left to right, and writes it as RE2 has it. Groups capture nothing. */
class Translation {
  readonly #source: string
  readonly #unicode: boolean
  readonly #dotAll: boolean
  #at = 0

  constructor(source: string, unicode: boolean, dotAll: boolean) {
    this.#source = source
    this.#unicode = unicode
    this.#dotAll = dotAll
  }

  translate(): string | undefined {
    let written = ''
    while (this.#at < this.#source.length) {
      const part = this.#part()
      if (part === undefined) return undefined
      written += part
    }
    return written
  }

  #part(): string | undefined {
    switch (this.#source[this.#at]) {
      case '\\':
        return this.#escape(false)
      case '(':
        return this.#group()
      case '[':
        return this.#class()
      case '.':
        this.#at++
        return this.#dotAll ? anything : `[^${lineEnds}]`
      case '^':
        this.#at++
        return '\\A'
      case '$':
        this.#at++
        return '\\z'
      default:
        return this.#literal()
    }
  }

  /** A character that stands for itself, or a sign that means the same in both: | ) * + ? and the braces of a count. */
  #literal(): string {
    const character = String.fromCodePoint(this.#source.codePointAt(this.#at) as number)
    const count = /^\{\d+(,\d*)?\}/.exec(this.#source.slice(this.#at, this.#at + 40))
    if (count) {
      this.#at += count[0].length
      return count[0]
    }
    this.#at += character.length
    return '|)*+?'.includes(character) ? character : quoted(character)
  }

  #group(): string | undefined {
    const [opening = '('] = /^\((\?(:|<?[=!]|<[^>]*>))?/.exec(this.#source.slice(this.#at)) ?? []
    this.#at += opening.length
    return /^\(\?<?[=!]/.test(opening) ? undefined : '(?:'
  }

  #class(): string | undefined {
    const [opening = '['] = /^\[\^?/.exec(this.#source.slice(this.#at)) ?? []
    this.#at += opening.length
    let parts = ''
    while (this.#source[this.#at] !== ']') {
      const part = this.#classPart()
      if (part === undefined) return undefined
      parts += part
    }
    this.#at++
    if (parts === '') return opening === '[' ? nothing : anything
    return `${opening}${parts}]`
  }

  /** A character, a range, or a class within a class. */
  #classPart(): string | undefined {
    const first = this.#classAtom()
    const isRange = this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']'
    if (first === undefined || !isRange) return first
    this.#at++
    const last = this.#classAtom()
    if (last === undefined) return undefined
    // With a class at either end the hyphen stands for itself.
    return isSingle(first) && isSingle(last) ? `${first}-${last}` : `${first}\\-${last}`
  }

  #classAtom(): string | undefined {
    if (this.#source[this.#at] === '\\') return this.#escape(true)
    const character = String.fromCodePoint(this.#source.codePointAt(this.#at) as number)
    this.#at += character.length
    return quoted(character)
  }

  #escape(inClass: boolean): string | undefined {
    const letter = this.#source[this.#at + 1] ?? ''
    this.#at += 2
    if (letter === 's') return inClass ? space : `[${space}]`
    if (letter === 'S') return inClass ? notSpace : `[${notSpace}]`
    if (letter === 'b' && inClass) return quoted('\b')
    if ('dDwWbB'.includes(letter)) return `\\${letter}`
    if (letter in controls) return quoted(JSON.parse(`"${letter === 'v' ? '\\u000b' : `\\${letter}`}"`))
    if (/[1-9]/.test(letter) || (letter === '0' && /\d/.test(this.#source[this.#at] ?? ''))) return undefined
    if (letter === '0') return quoted('\0')
    if (letter === 'k') return undefined
    if ((letter === 'p' || letter === 'P') && this.#unicode) return this.#property(letter)
    if (letter === 'c') return this.#control()
    if (letter === 'x' || letter === 'u') return this.#codePoint(letter)
    return quoted(letter)
  }

  #control(): string | undefined {
    const letter = this.#source[this.#at] ?? ''
    if (!/[A-Za-z]/.test(letter)) return undefined
    this.#at++
    return quoted(String.fromCharCode(letter.charCodeAt(0) % 32))
  }

  #codePoint(letter: string): string | undefined {
    const rest = this.#source.slice(this.#at, this.#at + 16)
    const [, braced] = (this.#unicode && letter === 'u' && /^\{([0-9A-Fa-f]+)\}/.exec(rest)) || []
    const [pair, high = '', low = ''] = /^([dD][89abAB]..)\\u([dD][c-fC-F]..)/.exec(rest) ?? []
    const [plain] = (letter === 'x' ? /^[0-9A-Fa-f]{2}/ : /^[0-9A-Fa-f]{4}/).exec(rest) ?? []
    if (braced !== undefined) {
      this.#at += braced.length + 2
      return `\\x{${braced}}`
    }
    if (plain === undefined) return quoted(letter)
    if (letter === 'u' && this.#unicode && pair !== undefined) {
      this.#at += pair.length
      return quoted(String.fromCharCode(Number.parseInt(high, 16), Number.parseInt(low, 16)))
    }
    this.#at += plain.length
    return `\\x{${plain}}`
  }

  #property(letter: string): string {
    const [whole = '', name = ''] =
      /^\{(?:(?:Script|sc|General_Category|gc)=)?([^}]*)\}/.exec(this.#source.slice(this.#at)) ?? []
    this.#at += whole.length
    return `\\${letter}{${name}}`
  }
}

/** A single character of a class, not a class in it. */
function isSingle(part: string): boolean {
  return /^(\\x\{[0-9A-Fa-f]+\}|.)$/su.test(part)
}

/** A character that stands for itself, within a class and outside of one. */
function quoted(character: string): string {
  return /^[A-Za-z0-9]$/.test(character)
    ? character
    : `\\x{${(character.codePointAt(0) as number).toString(16)}}`
}
