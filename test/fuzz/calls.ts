// The formats of calls: any text can be read, and in pieces it is read as at once.
import fc from 'fast-check'
import { callsIn, contentOf } from '../../lib/policy/calls/call-stream.js'
import { callFormats } from '../../lib/policy/calls/formats.js'
import { allRead } from '../../lib/policy/calls/parsed-call.js'
import type { Target } from './target.js'

/** What calls are made of, and what nearly looks like it. */
const fragments = [
  ...callFormats.flatMap(({ opening, closing = '' }) => [
    opening,
    closing,
    opening.slice(0, 4),
    closing.slice(-3),
  ]),
  '<think>',
  '</think>',
  '</thi',
  '[ARGS]',
  '[CALL_ID]',
  '<|python_tag|>',
  '{"name": "search", "arguments": {"query": "Peru"}}',
  '{"name": "search", "parameters": {}}',
  '[{"name": "a", "arguments": {}}]',
  '{"name":',
  '"arguments": {',
  '}}',
  '}',
  ']',
  '"',
  '\\',
  ' ',
  '\n',
  ';',
  'é',
  '🙂',
  '\ud800',
  '\u0000',
  '12345678901234567890',
  'null',
  'search',
]

const turn = fc
  .array(
    fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...fragments) }, { weight: 1, arbitrary: fc.string() }),
    {
      maxLength: 14,
    },
  )
  .map((parts) => parts.join(''))

const property = fc.property(
  fc.constantFrom(...callFormats.map(({ name }) => name)),
  turn,
  fc.boolean(),
  fc.array(fc.nat(200), { maxLength: 12 }),
  (name, text, inThought, cuts) => {
    const format = callFormats.find((each) => each.name === name) as (typeof callFormats)[number]
    const parsed = format.parse(text, inThought)
    const readable = parsed.flatMap(({ kind, ...call }) => (kind === 'call' ? [call] : []))
    // Calls that end a turn come together, or not at all.
    const calls = format.closing === undefined ? (allRead(parsed) ?? []) : readable
    const stream = format.stream(inThought)
    const parts = [...pieces(text, cuts).flatMap((piece) => stream.feed(piece)), ...stream.end()]
    same('calls', callsIn(parts), calls)
    same('content', contentOf(parts), format.strip(text, inThought))
  },
)

function pieces(text: string, cuts: readonly number[]): string[] {
  const at = [0, ...cuts.map((cut) => cut % (text.length + 1)), text.length].sort((a, b) => a - b)
  return at.slice(1).map((end, index) => text.slice(at[index], end))
}

function same(what: string, inPieces: unknown, atOnce: unknown): void {
  const [first, second] = [JSON.stringify(inPieces), JSON.stringify(atOnce)]
  if (first !== second) throw new Error(`${what} in pieces: ${first}, at once: ${second}`)
}

export const calls: Target = {
  name: 'calls',
  shortRuns: 3000,
  batchRuns: 1000,
  open: async () => ({ property, close: async () => {} }),
}
