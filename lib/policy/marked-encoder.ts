// Encodes a rendered conversation in which marks break the control tokens that texts spell out. It is split at the control tokens that
// are whole; the pieces between them lose their marks and are encoded by a tokenizer that knows no control token.
import { HdpoError } from '../core/errors.js'
import { bytesToCharacters } from './byte-alphabet.js'
import { escapePattern, isControlToken } from './control-tokens.js'
import { removeMarks } from './text-marks.js'
import type { Json, PrefixScheme } from './tokenizer-format.js'
import type { AddedToken } from './tokenizer-vocabulary.js'

export interface PieceEncoders {
  prefix: PrefixScheme
  /** Both know no control token. */
  beginning: (text: string) => number[]
  /** Without the space that the tokenizer puts in front. */
  continuing: (text: string) => number[]
}

export class MarkedEncoder {
  readonly #tokens: ReadonlyMap<string, AddedToken>
  readonly #ids: ReadonlySet<number>
  readonly #encoders: () => PieceEncoders
  #pattern: { mark: string | undefined; found: RegExp } | undefined

  /** `encoders` is called once, when they are needed for the first time: they take as long to make as the tokenizer did. */
  constructor(added: readonly AddedToken[], encoders: () => PieceEncoders) {
    const control = added.filter(isControlToken)
    this.#tokens = new Map(control.map((token) => [token.content, token]))
    this.#ids = new Set(control.map(({ id }) => id))
    let made: PieceEncoders | undefined
    this.#encoders = () => {
      made ??= encoders()
      return made
    }
  }

  get controlTokens(): string[] {
    return [...this.#tokens.keys()]
  }

  /** The control tokens of a text with marks, in order. */
  find(text: string, mark: string | undefined): string[] {
    return this.#split(text, mark).filter((_, index) => index % 2 === 1)
  }

  /** `continues`: no space is put in front of the text, because it goes on from other text. */
  encode(text: string, mark: string | undefined, continues: boolean): number[] {
    const { prefix, beginning, continuing } = this.#encoders()
    const parts = this.#split(text, mark)
    return parts.flatMap((part, index) => {
      const token = index % 2 === 1 ? this.#tokens.get(part) : undefined
      if (token) return [token.id]
      const piece = this.#stripped(
        mark === undefined ? part : removeMarks(part, mark),
        parts[index - 1],
        parts[index + 1],
      )
      if (piece === '') return []
      const prefixed = index === 0 ? !continues : prefix === 'always'
      return this.#checked((prefixed ? beginning : continuing)(piece))
    })
  }

  /** Texts and control tokens in turns, a text first. */
  #split(text: string, mark: string | undefined): string[] {
    if (this.#tokens.size === 0) return [text]
    if (!this.#pattern || this.#pattern.mark !== mark) this.#pattern = { mark, found: this.#patternFor(mark) }
    return text.split(this.#pattern.found)
  }

  /** Of several tokens at one place, the longest is found. A mark cannot stand inside a token of one character, but behind it. */
  #patternFor(mark: string | undefined): RegExp {
    const longestFirst = [...this.#tokens.keys()].sort((a, b) => b.length - a.length)
    const found = longestFirst.map((token) =>
      mark !== undefined && [...token].length === 1
        ? `${escapePattern(token)}(?!${mark})`
        : escapePattern(token),
    )
    return new RegExp(`(${found.join('|')})`)
  }

  #stripped(piece: string, before: string | undefined, after: string | undefined): string {
    const begun = before !== undefined && this.#tokens.get(before)?.rstrip ? piece.trimStart() : piece
    return after !== undefined && this.#tokens.get(after)?.lstrip ? begun.trimEnd() : begun
  }

  #checked(ids: number[]): number[] {
    const wrong = ids.find((id) => this.#ids.has(id))
    if (wrong === undefined) return ids
    throw new HdpoError('ERR_TOKENIZER', `the tokenizer makes the control token ${wrong} of ordinary text`)
  }
}

/** The content of a tokenizer.json whose tokenizer makes no control token of any text. */
export function withoutControlTokens(json: Json): Json {
  const added = (json.added_tokens ?? []) as AddedToken[]
  const model = json.model as { vocab: Record<string, number>; merges?: unknown[]; unk_token?: string | null }
  const control = new Set(added.filter(isControlToken).flatMap(({ content }) => entriesOf(content)))
  const vocab = Object.entries(model.vocab).filter(
    ([entry]) => !control.has(entry) || entry === model.unk_token,
  )
  const merges = model.merges?.filter((merge) => !control.has(mergedEntry(merge)))
  return {
    ...json,
    added_tokens: added.filter((token) => !isControlToken(token)),
    model: { ...model, vocab: Object.fromEntries(vocab), ...(merges && { merges }) },
  }
}

/** A token as a vocabulary writes it: as it is, by the alphabet of bytes, or with SentencePiece's spaces. */
function entriesOf(content: string): string[] {
  const bytes = bytesToCharacters(new TextEncoder().encode(content)).join('')
  return [content, bytes, content.replaceAll(' ', '\u2581')]
}

function mergedEntry(merge: unknown): string {
  return Array.isArray(merge) ? merge.join('') : String(merge).replace(' ', '')
}
