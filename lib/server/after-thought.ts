// White space between a thought and what follows it. Templates put an empty line there; clients that split thoughts off, as the AI SDK
// does, would begin every answer with it.
import type { CallStream, ReplyPart } from '../policy/calls/call-stream.js'
import { streamThought } from '../policy/calls/thoughts.js'

/** The parts of `stream`, without the white space that follows a turn's thought. */
export function withoutSpaceAfterThought(stream: CallStream, inThought: boolean): CallStream {
  const thoughts = streamThought(inThought)
  let thought = false
  let said = false
  const content = (split: { thought: string; said: string }): ReplyPart[] => {
    thought ||= split.thought !== ''
    const text = thought && !said ? split.said.trimStart() : split.said
    said ||= text !== ''
    return split.thought + text === '' ? [] : [{ kind: 'content', text: split.thought + text }]
  }
  const read = (parts: readonly ReplyPart[]) =>
    parts.flatMap((part) => (part.kind === 'content' ? content(thoughts.feed(part.text)) : [part]))
  return {
    feed: (text) => read(stream.feed(text)),
    end: () => [...read(stream.end()), ...content(thoughts.end())],
  }
}
