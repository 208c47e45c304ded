import { createRequire } from 'node:module'
import type { CityData } from 'city-timezones'
import { describe, expect, it } from 'vitest'
import { toAscii } from '../../../lib/families/ascii.js'
import { countries } from '../../../lib/families/atlas/countries.js'
import { createCities } from '../../../lib/families/cities/cities.js'
import { createCurriculum } from '../../../lib/families/cities/curriculum.js'
import { cities as readCities } from '../../../lib/families/cities/data.js'
import { citySheets } from '../../../lib/families/cities/search.js'
import { createChatTemplate } from '../../../lib/policy/chat-template.js'
import { loadTokenizer } from '../../../lib/policy/tokenizer.js'
import type { Message } from '../../../lib/policy/types.js'
import type { Task } from '../../../lib/rollout/types.js'
import { refuses } from '../../core/wrong-options.js'

const { cityMapping } = createRequire(import.meta.url)('city-timezones') as { cityMapping: CityData[] }

const allCities = readCities()
const count = 1000
const cities = createCities({ seed: 3, count })
const questions = new Map(createCurriculum(3, count, 0.25).map((question) => [question.id, question]))
const conversations = await cities.coldStart({ knowledgeCopies: 1, guessCopies: 1 })
const tasks = [...cities.trainTasks, ...cities.heldOutTasks]
const idsOf = (list: readonly Task[]) => list.map((task) => task.id)

/** Rows of the data set by the city's name in questions. */
const rowsByName = new Map<string, CityData[]>()
for (const row of cityMapping) {
  const name = toAscii(row.city)
  for (const key of [name, `${name} (${toAscii(row.province ?? '')})`])
    rowsByName.set(key, [...(rowsByName.get(key) ?? []), row])
}
const rowsOf = (name: string) => rowsByName.get(name) ?? []

/** The right answer from the data sets as they are published, not as hdpo reads them. */
function answerFromRawData({ id }: Task): string | number {
  const [family, first, second] = id.split('/') as string[]
  const row = rowsOf(first as string)[0] as CityData
  const country = countries.find(({ code }) => code === row.iso3)
  if (second !== undefined) {
    const other = rowsOf(second)[0] as CityData
    if (family === 'population-sum') return row.pop + other.pop
    if (family === 'population-difference') return row.pop - other.pop
    return row.pop > other.pop ? (first as string) : second
  }
  if (family === 'population') return row.pop
  if (family === 'timezone') return row.timezone
  if (family === 'province') return toAscii(row.province)
  if (family === 'country') return country?.name as string
  return country?.facts[family?.replace('-of-country', '') as 'capital'] as string
}

describe('createCities', () => {
  it('is a function of its seed', () => {
    const again = createCities({ seed: 3, count })
    expect(again.trainTasks).toEqual(cities.trainTasks)
    expect(idsOf(createCities({ seed: 4, count }).heldOutTasks)).not.toEqual(idsOf(cities.heldOutTasks))
  })

  it('asks about cities that have one name each in the data set', () => {
    expect(new Set(allCities.map(({ name }) => name)).size).toBe(allCities.length)
    expect(allCities.length).toBeGreaterThan(4000)
    for (const { name, population } of allCities.slice(0, count))
      expect(rowsOf(name).map((row) => row.pop)).toContain(population)
  })

  it('holds a quarter of every family out and practises on neither part', () => {
    const training = new Set(idsOf(cities.trainTasks))
    const heldOut = new Set(idsOf(cities.heldOutTasks))
    expect(training.size + heldOut.size).toBe(tasks.length)
    expect([...heldOut].filter((id) => training.has(id))).toEqual([])
    const practice = [...questions.values()].filter((question) => question.use === 'practice')
    expect(practice.length).toBe(6 * 400)
    expect(practice.filter(({ id }) => training.has(id) || heldOut.has(id))).toEqual([])
    for (const family of new Set([...questions.values()].map((question) => question.family))) {
      const share = (list: readonly Task[]) => list.filter((task) => task.metadata?.family === family).length
      expect(
        share(cities.heldOutTasks) / (share(cities.heldOutTasks) + share(cities.trainTasks)),
      ).toBeCloseTo(0.25, 1)
    }
  })

  it('has the answers of the data sets', () => {
    const unambiguous = tasks.filter(({ id }) =>
      id
        .split('/')
        .slice(1)
        .every((name) => rowsOf(name).length === 1),
    )
    expect(unambiguous.length).toBeGreaterThan(0.9 * tasks.length)
    expect(unambiguous.map(({ id, answer }) => [id, answer])).toEqual(
      unambiguous.map((task) => [task.id, answerFromRawData(task)]),
    )
  })

  refuses(createCities, [
    [{ count: 999 }, 'createCities.count: must be a whole number of at least 1000, got 999'],
    [{ count: 1e6 }, 'createCities.count: must be at most 4656, the cities there are, got 1000000'],
    [{ seed: 0.5 }, 'createCities.seed: must be a whole number of at least 0, got 0.5'],
  ])
})

describe('the cold start of cities', () => {
  it('finds every answer with the tools', () => {
    for (const { messages, questionId, kind } of conversations) {
      if (kind !== 'trace') continue
      const answer = String(questions.get(questionId)?.answer)
      expect(messages.at(-1)?.content).toBe(`<answer>${answer}</answer>`)
      if (questionId.startsWith('population-larger')) continue
      expect(messages.filter((message) => message.role === 'tool').at(-1)?.content).toContain(answer)
    }
  })

  it('takes a second search that the first one words', () => {
    const trace = conversations.find(
      ({ kind, messages, questionId }) =>
        kind === 'trace' && questionId.startsWith('currency-of-country/') && messages.length === 6,
    )
    expect(trace).toBeDefined()
    const [, , found, second] = (trace as { messages: Message[] }).messages
    const country = found?.content.split('country ')[1] as string
    expect(second?.toolCalls?.[0]?.arguments).toEqual({ query: `${country} currency` })
    expect((trace as { messages: Message[] }).messages[0]?.content).not.toContain(country)
  })

  it('survives its tokenizer', () => {
    const tokenizer = loadTokenizer(cities.tokenizer)
    const template = createChatTemplate(cities.template, tokenizer)
    expect(cities.model.vocabSize).toBe(tokenizer.vocabSize)
    for (const { messages } of conversations.slice(0, 500)) {
      const { tokens } = template.supervised(messages, [])
      expect(tokens.length).toBeLessThan(cities.model.maxPositions)
      for (const message of messages) expect(tokenizer.decode(tokens)).toContain(message.content)
    }
  })
})

describe('search', () => {
  it('tells namesakes apart and knows countries', () => {
    const result = citySheets.search('Springfield (Illinois) population')
    expect(result.split('\n')[0]).toMatch(/^Springfield \(Illinois\): population \d+$/)
    expect(citySheets.search('France capital')).toContain('France: capital Paris')
    expect(citySheets.search('Xyzzy population')).toBe('No results.')
  })
})
