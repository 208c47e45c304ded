import { expect, it } from 'vitest'
import type { Sample, SamplingOptions, Sequence, Tokenizer } from '../../lib/policy/types.js'
import { sampleTurn } from '../../lib/server/sample-turn.js'

// Bytes are tokens, so that characters come in parts.
const endOfTurn = 256
const tokenizer = {
  decode: (tokens: ArrayLike<number>) => new TextDecoder().decode(Uint8Array.from(tokens)),
} as Tokenizer

/** A sequence that says the bytes, then ends its turn; `longest` is the most tokens it may have. */
function sequenceOf(bytes: Uint8Array, longest = Number.POSITIVE_INFINITY): Sequence {
  const all = [...bytes, endOfTurn]
  let at = 0
  const sample = async ({ maxTokens = 1000, stopTokens = [] }: SamplingOptions): Promise<Sample> => {
    const room = Math.min(maxTokens, longest - at)
    const end = all.slice(at, at + room).findIndex((token) => stopTokens.includes(token))
    const tokens = Int32Array.from(all.slice(at, end === -1 ? at + room : at + end + 1))
    at += tokens.length
    return {
      tokens,
      logprobs: new Float32Array(tokens.length),
      finishReason: end === -1 ? 'length' : 'stop-token',
    }
  }
  return { sample } as Sequence
}

async function play(sequence: Sequence, more: { stop?: string[]; maxTokens?: number } = {}) {
  const { stop = [], maxTokens = 1000 } = more
  const pieces: string[] = []
  const turn = sampleTurn({
    sequence,
    tokenizer,
    endTokens: [endOfTurn],
    sampling: { maxTokens },
    stop,
    stopTokens: [],
    inPieces: true,
    signal: new AbortController().signal,
  })
  for (;;) {
    const step = await turn.next()
    if (step.done) return { ...step.value, pieces }
    pieces.push(step.value.text)
  }
}

const bytes = (text: string) => new TextEncoder().encode(text)

it('gives characters out whole', async () => {
  const { pieces, text, ended } = await play(sequenceOf(bytes('aü€🙂z')))
  expect(text).toBe('aü€🙂z')
  expect(pieces.join('')).toBe(text)
  expect(pieces.join('|')).not.toContain('\ufffd')
  expect(ended).toBe(true)
})

it('gives bytes that are no character out at the end', async () => {
  const { text } = await play(sequenceOf(Uint8Array.of(97, 0xe2, 0x82)))
  expect(text).toBe('a\ufffd')
})

it('finds stop texts across pieces and samples nothing after them', async () => {
  const found = await play(sequenceOf(bytes('abc<stop>def')), { stop: ['<stop>', 'x'] })
  expect(found).toMatchObject({ text: 'abc', finish: 'stop', ended: false })
  expect(tokenizer.decode(found.tokens)).toBe('abc<stop>')
  const almost = await play(sequenceOf(bytes('abc<sto')), { stop: ['<stop>'] })
  expect(almost).toMatchObject({ text: 'abc<sto', finish: 'stop', ended: true })
})

it('says when the tokens or the sequence ran out', async () => {
  expect(await play(sequenceOf(bytes('abcdefghij')), { maxTokens: 6 })).toMatchObject({
    text: 'abcdef',
    finish: 'length',
  })
  expect(await play(sequenceOf(bytes('abcdefghij'), 7))).toMatchObject({ text: 'abcdefg', finish: 'length' })
})
