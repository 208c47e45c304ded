import { expect, it } from 'vitest'
import { partialSuffix } from '../../lib/core/partial-suffix.js'

it.each([
  ['a <tool', ['<tool_call>'], 5],
  ['<', ['<tool_call>', '</tool_call>'], 1],
  ['aba', ['abab'], 3],
  ['abab', ['abab'], 2],
  ['ends in no beginning', ['<stop>'], 0],
  ['', ['<stop>'], 0],
  ['anything', [], 0],
])('%j may go on to one of %j with its last %i characters', (text, words, length) => {
  expect(partialSuffix(text, words)).toBe(length)
})
