// The generated pages are what the code says, and the code says enough for them.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { contradicts, generatePages, splitDefault } from '../scripts/docs.js'

const { pages, missing } = generatePages()

it.each(Object.entries(pages))('%s is what npm run docs writes', (path, text) => {
  expect(readFileSync(join(import.meta.dirname, '..', path), 'utf8')).toBe(text)
})

it('has words for every option, and in them the default that the code has', () => {
  expect(missing).toEqual([])
})

it('has a row for options that stood nowhere', () => {
  const page = pages['docs/options.md'] as string
  for (const option of ['maxTurns', 'toolConcurrency', 'checkpointEvery', 'evaluate.every', 'kvBudgetMiB']) {
    expect(page).toContain(`| \`${option}\` |`)
  }
  expect(page).toContain('| `maxTurns` | a whole number of at least 1 | 10 | Assistant turns of a rollout. |')
})

it('links to headings that are there', () => {
  const page = pages['docs/options.md'] as string
  const anchors = [...page.matchAll(/^### (.*)$/gm)].map(([, title]) =>
    (title as string)
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
  const linked = [...page.matchAll(/\(#([^)]+)\)/g)].map(([, anchor]) => anchor)
  expect(linked.filter((anchor) => !anchors.includes(anchor as string))).toEqual([])
  expect(new Set(anchors).size).toBe(anchors.length)
})

describe('splitDefault', () => {
  it.each<[string, string, string | undefined]>([
    ['How patient. Default 0.5.', 'How patient.', '0.5'],
    ['Default 4 MiB. Longer ones are refused.', 'Longer ones are refused.', '4 MiB'],
    ["The name. Default: 'x.y' or so; never empty.", 'The name.', "'x.y' or so; never empty"],
    ['Nothing is said.', 'Nothing is said.', undefined],
  ])('%s', (comment, text, fallback) => {
    expect(splitDefault(comment)).toEqual({ text, ...(fallback !== undefined && { fallback }) })
  })
})

it.each<[string, unknown, boolean]>([
  ['3', 3, false],
  ['3', 4, true],
  ['30,000', 30_000, false],
  ['1e-6', 1e-6, false],
  ['1,024; more are refused', 1025, true],
  ["'cpu'", 'cpu', false],
  ["'cpu'", 'cuda', true],
  ['true; without it nothing', false, true],
  ['4 MiB', 4194304, false],
  ['as there', 3, false],
])('Default %s and %j: contradicts %s', (said, real, wrong) => {
  expect(contradicts(said, real)).toBe(wrong)
})
