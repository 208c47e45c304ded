// The texts of a conversation with marks in them, so that no control token comes out of a text when a chat template renders it.
// What the policy writes may be made of the tokens of thoughts, calls and answers; nothing else may be made of any.
import { formatNamed, type ToolFormat } from './calls/formats.js'
import { markupTags } from './calls/markup.js'
import { thoughtTags } from './calls/thoughts.js'
import { createTextMarker, type TextMarker } from './control-tokens.js'
import { chooseMark, insertMarks, mapTexts } from './text-marks.js'

type Json = Record<string, unknown>

const roles: ReadonlySet<unknown> = new Set(['system', 'developer', 'user', 'assistant', 'tool'])

/** What a chat template renders. */
export interface Conversation {
  messages: readonly Json[]
  tools: readonly Json[]
}

export interface MarkedConversations {
  /** With a mark in every control token that a text spells out; the conversation itself where there is none. */
  occurrences: Conversation
  /** With a mark wherever a control token could begin: a template that takes texts apart cannot make one of them either. */
  beginnings: Conversation
  mark: string
}

export class ConversationText {
  readonly #foreign: TextMarker
  readonly #written: TextMarker

  /** `fixed` holds the texts that a template adds of its own. */
  constructor(
    control: readonly string[],
    format: ToolFormat,
    private readonly fixed: string,
  ) {
    this.#foreign = createTextMarker(control)
    this.#written = createTextMarker(control, [...thoughtTags, ...markupTags, ...formatNamed(format).marks])
  }

  mark(conversation: Conversation): MarkedConversations {
    const mark = chooseMark(JSON.stringify(conversation) + this.fixed)
    const marked = (kind: 'occurrences' | 'beginnings') =>
      this.#map(conversation, (text, marker) => insertMarks(text, marker[kind](text), mark))
    return { occurrences: marked('occurrences'), beginnings: marked('beginnings'), mark }
  }

  /** How many control tokens the texts spell out. */
  count(conversation: Conversation): number {
    let count = 0
    this.#map(conversation, (text, marker) => {
      count += marker.count(text)
      return text
    })
    return count
  }

  /** Roles and types are the template's own; everything else that is a text, keys of objects too, is not. */
  #map(conversation: Conversation, change: (text: string, marker: TextMarker) => string): Conversation {
    const foreign = (value: unknown) => mapTexts(value, (text) => change(text, this.#foreign))
    const field = (message: Json, [key, value]: [string, unknown]): [string, unknown] => {
      if (key === 'role' && roles.has(value)) return [key, value]
      if (key === 'content' && message.role === 'assistant' && typeof value === 'string') {
        return [key, change(value, this.#written)]
      }
      return [key, foreign(value)]
    }
    const messages = conversation.messages.map((message) => {
      const entries = Object.entries(message).map((entry) => field(message, entry))
      return entries.every(([key, value]) => message[key] === value) ? message : Object.fromEntries(entries)
    })
    const tools = foreign(conversation.tools) as Json[]
    const same =
      tools === conversation.tools && messages.every((message, at) => message === conversation.messages[at])
    return same ? conversation : { messages, tools }
  }
}
