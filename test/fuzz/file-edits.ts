// Changes of a file's bytes: some flipped, put in, taken out, repeated, the end cut off.
import fc from 'fast-check'

export interface Edit {
  at: number
  kind: 'flip' | 'insert' | 'remove' | 'cut' | 'repeat'
  bytes: string
}

/** What the formats of our files are made of, and what has been trouble in one of them. */
const tokens = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  'null',
  '-1',
  '1e999',
  '9007199254740993',
  '0.5',
  'true',
  '""',
  '{}',
  '[]',
]
const trouble = [
  '\\u0000',
  '\\ud800',
  '\ufeff',
  '\n',
  '\r',
  '\u0000',
  '300000000',
  '"__proto__":',
  'NaN',
  '<|im_end|>',
  '\u2028',
]

const edit: fc.Arbitrary<Edit> = fc.record({
  at: fc.nat(1_000_000),
  kind: fc.constantFrom('flip', 'insert', 'insert', 'remove', 'cut', 'repeat'),
  bytes: fc.oneof(fc.constantFrom(...tokens, ...trouble), fc.string({ unit: 'binary', maxLength: 4 })),
})
export const edits = fc.array(edit, { minLength: 1, maxLength: 4 })

export function applyEdits(content: Buffer, given: readonly Edit[]): Buffer {
  return given.reduce(applyEdit, content)
}

function applyEdit(content: Buffer, { at, kind, bytes }: Edit): Buffer {
  const place = at % (content.length + 1)
  const length = 1 + (at % 17)
  const [before, after] = [content.subarray(0, place), content.subarray(place)]
  switch (kind) {
    case 'flip': {
      if (after.length === 0) return content
      const flipped = Buffer.from(content)
      flipped[place] = (flipped[place] as number) ^ (1 << (at % 8))
      return flipped
    }
    case 'insert':
      return Buffer.concat([before, Buffer.from(bytes), after])
    case 'remove':
      return Buffer.concat([before, after.subarray(length)])
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, length * 8), after])
    case 'cut':
      return before
  }
}
