import { describe, expect, it } from 'vitest'
import { callsIn, contentOf, contentStream } from '../../lib/policy/calls/call-stream.js'
import { hermes } from '../../lib/policy/calls/hermes.js'
import { withoutSpaceAfterThought } from '../../lib/server/after-thought.js'

const read = (pieces: Iterable<string>, inThought: boolean, stream = contentStream()) => {
  const reader = withoutSpaceAfterThought(stream, inThought)
  return [...[...pieces].flatMap((piece) => reader.feed(piece)), ...reader.end()]
}

describe('the white space after a thought', () => {
  it.each([
    ['<think>I know.</think>\n\nSunny.', false, '<think>I know.</think>Sunny.'],
    ['I know.</think> \n Sunny,\n\nwarm. ', true, 'I know.</think>Sunny,\n\nwarm. '],
    ['\n\nSunny.', false, '\n\nSunny.'],
    ['Is </think>\n\n a tag?', false, 'Is </think>\n\n a tag?'],
    ['<think>\n\nI do not', false, '<think>\n\nI do not'],
    [' <thin', false, ' <thin'],
    ['\n</think>\n\n', true, '\n</think>'],
  ])('of %j goes, and no other', (text, inThought, expected) => {
    expect(contentOf(read([text], inThought))).toBe(expected)
    expect(contentOf(read(text, inThought))).toBe(expected)
  })

  it('leaves calls as they are', () => {
    const text = '<think>I ask.</think>\n\n<tool_call>{"name": "weather", "arguments": {}}</tool_call>'
    const parts = read(text, false, hermes.stream(false))
    expect(contentOf(parts)).toBe('<think>I ask.</think>')
    expect(callsIn(parts)).toEqual([{ name: 'weather', arguments: {} }])
  })
})
