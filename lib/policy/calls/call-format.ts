// How a policy writes its calls: all that anybody has to know about one format. A format's file says how calls are written in the
// text after the thought; that nothing inside a thought is a call holds for every format, and is added here.
import { type CallStream, content, contentOf } from './call-stream.js'
import type { ParsedToolCall } from './parsed-call.js'
import { forcedToSay, type SplitTurn, splitThought, streamThought } from './thoughts.js'

interface CallMarks<Name extends string> {
  /** The format's name in the option `toolFormat`. */
  name: Name
  /** Recognises the format in a rendered call of a tool `probe_name` (detect-format.ts). */
  rendered: RegExp
  /** Recognises the format in the source of a chat template. */
  mentioned: RegExp
  /** The token that begins a call and nothing else. Never sampled with tool choice 'none'. */
  opening: string
  /** Whether every call begins with `opening`, so that there is no call without it. */
  beginsAll: boolean
  /** The token that ends a call, after which others may follow; undefined where calls end with the turn. */
  closing?: string
  /** Everything that a call is written with and that may be a token of its own. */
  marks: readonly string[]
  /** Whether templates write ids of calls, by which results name them. */
  namesCalls: boolean
}

/** `inThought`, in every method: the prompt opened a thought, so that the turn begins inside it. Default: false. */
export interface CallFormat<Name extends string = string> extends Readonly<CallMarks<Name>> {
  /** The calls of a whole turn in the order of the text, those that cannot be read among them. */
  parse(text: string, inThought?: boolean): ParsedToolCall[]
  /**
   * A whole turn without its calls, as a message's content beside `toolCalls`: the content of stream(). The thought stays, and so
   * does a call that cannot be read.
   */
  strip(text: string, inThought?: boolean): string
  /**
   * Reads a turn while it is written. A call is given out once its closing mark is there. In formats whose calls end a turn, all
   * calls are given out together at the end, or stay in the content where one cannot be read.
   */
  stream(inThought?: boolean): CallStream
  /** A beginning of a turn that makes it call `tool`, or any tool without one. Ends a thought that the prompt opened. */
  forced(inThought?: boolean, tool?: string): string
}

/** What a format's file defines. The texts it reads are those after the thought. */
export interface CallFormatDefinition<Name extends string> extends CallMarks<Name> {
  parse(said: string): ParsedToolCall[]
  stream(): CallStream
  /** Beginning of a call of any tool. */
  anyCall: string
  /** Beginning of a call of one tool, up to its arguments. */
  callOf(tool: string): string
}

export function callFormat<const Name extends string>({
  parse,
  stream,
  anyCall,
  callOf,
  ...marks
}: CallFormatDefinition<Name>): CallFormat<Name> {
  const streamTurn = (inThought = false) => afterThought(stream(), inThought)
  return {
    ...marks,
    parse: (text, inThought) => parse(splitThought(text, inThought).said),
    strip(text, inThought) {
      const reader = streamTurn(inThought)
      return contentOf([...reader.feed(text), ...reader.end()])
    },
    stream: streamTurn,
    forced: (inThought = false, tool) => forcedToSay(tool === undefined ? anyCall : callOf(tool), inThought),
  }
}

/** `calls` reads the text after the thought; the thought is content as it comes. */
function afterThought(calls: CallStream, inThought: boolean): CallStream {
  const thoughts = streamThought(inThought)
  const read = ({ thought, said }: SplitTurn) => [
    ...content(thought),
    ...(said === '' ? [] : calls.feed(said)),
  ]
  return {
    feed: (text) => read(thoughts.feed(text)),
    end: () => [...read(thoughts.end()), ...calls.end()],
  }
}
