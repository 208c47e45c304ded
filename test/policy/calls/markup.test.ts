import { expect, it } from 'vitest'
import { findAnswers, isWellFormed, tagsBalance } from '../../../lib/policy/calls/markup.js'

it('finds answers, trimmed, innermost where they nest', () => {
  expect(findAnswers('<answer> 5\n</answer> or <answer></answer>')).toEqual(['5', ''])
  expect(findAnswers('<answer>a<answer>b</answer>')).toEqual(['b'])
  expect(findAnswers('<answer>5')).toEqual([])
})

it.each([
  ['', true],
  ['plain 1 < 2', true],
  ['<reason>so</reason><answer>5</answer>', true],
  ['<reason><tool_call>{}</tool_call></reason>', true],
  ['<reason>so<answer>5</answer>', false],
  ['so</reason>', false],
  ['</reason><reason>', false],
  ['<reason><answer></reason></answer>', false],
  ['<reason><reason></reason></reason>', false],
  ['<tool_call>', false],
])('balance of %j: %s', (text, balanced) => {
  expect(tagsBalance(text)).toBe(balanced)
})

it('is well formed with exactly one answer in all turns, each balanced', () => {
  expect(isWellFormed(['<tool_call>{}</tool_call>', '<answer>5</answer>'])).toBe(true)
  expect(isWellFormed(['<answer>4</answer><tool_call>{}</tool_call>', '<answer>5</answer>'])).toBe(false)
  expect(isWellFormed(['<answer>4</answer><answer>5</answer>'])).toBe(false)
  expect(isWellFormed(['5'])).toBe(false)
  expect(isWellFormed([])).toBe(false)
  expect(isWellFormed(['<reason>', '</reason><answer>5</answer>'])).toBe(false)
})
