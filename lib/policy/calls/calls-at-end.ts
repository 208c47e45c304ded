// Calls that end a turn, each behind a mark that is a token of its own, so that no argument contains it. Text may stand before
// them, nothing after them.
import type { CallFormatDefinition } from './call-format.js'
import { content, endOfTurn, undecided } from './call-stream.js'
import type { ParsedToolCall } from './parsed-call.js'

/** `readCalls` reads what stands behind one `mark`, up to the next one. */
export function callsAtEnd(
  mark: string,
  readCalls: (written: string) => ParsedToolCall[],
): Pick<CallFormatDefinition<string>, 'parse' | 'stream'> {
  const parse = (said: string) => said.split(mark).slice(1).flatMap(readCalls)
  return {
    parse,
    stream() {
      let held = ''
      return {
        // Text before the calls is content at once; the calls are held until the end.
        feed(said) {
          held += said
          const open = held.indexOf(mark)
          const before =
            open === -1 ? held.length - undecided(held, mark) : held.slice(0, open).trimEnd().length
          const text = held.slice(0, before)
          held = held.slice(before)
          return content(text)
        },
        end: () => endOfTurn(held, parse),
      }
    },
  }
}
