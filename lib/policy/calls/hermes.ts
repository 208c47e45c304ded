// Hermes calls: <tool_call>{"name": "search", "arguments": {"query": "..."}}</tool_call>, any number of them, text between them.
// Tags win over JSON: a call's arguments cannot contain them. Qwen's templates write them, and policies whose templates write no
// calls learn them.
import { callFormat } from './call-format.js'
import { type CallStream, content, type ReplyPart, undecided } from './call-stream.js'
import { callOf, malformed, type ParsedToolCall, readJson } from './parsed-call.js'

const opening = '<tool_call>'
const closing = '</tool_call>'
const tags = /<\/?tool_call>/g

export const hermes = callFormat({
  name: 'hermes',
  rendered: /<tool_call>\s*\{/,
  mentioned: /<tool_call>/,
  opening,
  beginsAll: true,
  closing,
  marks: [opening, closing],
  namesCalls: false,
  anyCall: opening,
  callOf: (tool) => `${opening}{"name": ${JSON.stringify(tool)}, "arguments": `,
  parse,
  stream: () => new HermesStream(),
})

function parse(said: string): ParsedToolCall[] {
  const calls: ParsedToolCall[] = []
  // Where the text of the call being read begins.
  let opened: number | undefined
  for (const { 0: tag, index } of said.matchAll(tags)) {
    if (tag === opening) {
      if (opened !== undefined)
        calls.push(malformed(said.slice(opened, index), 'another <tool_call> comes before </tool_call>'))
      opened = index + tag.length
    } else if (opened === undefined) {
      calls.push(malformed('', '</tool_call> without <tool_call>'))
    } else {
      calls.push(readCall(said.slice(opened, index)))
      opened = undefined
    }
  }
  if (opened !== undefined) calls.push(malformed(said.slice(opened), '<tool_call> without </tool_call>'))
  return calls
}

function readCall(text: string): ParsedToolCall {
  const read = readJson(text)
  return 'problem' in read ? malformed(text, read.problem) : callOf(read.value, text)
}

/** Gives a call out once its closing tag is there. One that cannot be read is content, as it was written. */
class HermesStream implements CallStream {
  /** Text not given out yet: white space before a possible call, half a tag, an open call. */
  #held = ''
  #afterCall = false

  feed(said: string): ReplyPart[] {
    this.#held += said
    const parts: ReplyPart[] = []
    for (;;) {
      const next = this.#next()
      if (next === undefined) return parts
      parts.push(...next)
    }
  }

  end(): ReplyPart[] {
    return content(this.#take(this.#held.length))
  }

  /** Undefined where more text is needed. */
  #next(): ReplyPart[] | undefined {
    const open = this.#held.indexOf(opening)
    if (open === -1) {
      const safe = this.#held.length - undecided(this.#held, opening)
      return safe === 0 ? undefined : content(this.#take(safe))
    }
    const inside = open + opening.length
    const close = this.#held.indexOf(closing, inside)
    const reopened = this.#held.indexOf(opening, inside)
    if (reopened !== -1 && (close === -1 || reopened < close)) return content(this.#take(reopened))
    if (close === -1) {
      const before = this.#held.slice(0, open).trimEnd().length
      return before === 0 ? undefined : content(this.#take(before))
    }
    return this.#call(open, close)
  }

  #call(open: number, close: number): ReplyPart[] {
    const end = close + closing.length
    const parsed = readCall(this.#held.slice(open + opening.length, close))
    if (parsed.kind === 'malformed') return content(this.#take(end))
    const before = this.#take(open).trimEnd()
    this.#take(end - open)
    this.#afterCall = true
    const { kind, ...call } = parsed
    return [...content(before), { kind, call }]
  }

  /** White space around a call is layout, not content. */
  #take(length: number): string {
    const taken = this.#held.slice(0, length)
    this.#held = this.#held.slice(length)
    if (!this.#afterCall) return taken
    const text = taken.trimStart()
    if (text !== '') this.#afterCall = false
    return text
  }
}
