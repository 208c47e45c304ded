// The question families of atlas: questions with their wordings, the right answers, and the tool calls that find them.
import { HdpoError } from '../../core/errors.js'
import type { ToolCall } from '../../policy/types.js'
import { calculatorCall, type Question } from '../question.js'
import { type Attribute, type Country, factOf } from './countries.js'

const factPhrasings: Record<Attribute, string[]> = {
  capital: ['What is the capital of {}?', 'Name the capital of {}.', 'Which city is the capital of {}?'],
  region: ['Which region is {} in?', 'In what part of the world is {}?', 'Name the region of {}.'],
  currency: ['What is the currency of {}?', 'Which currency does {} use?', 'What do people pay with in {}?'],
  language: [
    'What is the official language of {}?',
    'Which language is spoken in {}?',
    'Name the language of {}.',
  ],
  area: ['What is the area of {} in km2?', 'How many km2 does {} cover?', 'How large is {} in km2?'],
}

export function factQuestion(country: Country, attribute: Attribute): Question {
  const fact = factOf(country, attribute)
  return {
    id: `${attribute}/${country.name}`,
    family: attribute,
    phrasings: factPhrasings[attribute].map((phrasing) => phrasing.replace('{}', country.name)),
    answer: attribute === 'area' ? Number(fact) : fact,
    calls: [searchCall(country, attribute)],
  }
}

export type Comparison = 'area-larger' | 'area-difference' | 'area-sum'

/** Two searches and a calculation. 'area-difference' asks about the larger one first. */
export function comparisonQuestion(family: Comparison, one: Country, other: Country): Question {
  const [first, second] =
    family === 'area-difference' && areaOf(one) < areaOf(other) ? [other, one] : [one, other]
  const difference = areaOf(first) - areaOf(second)
  const sum = areaOf(first) + areaOf(second)
  return {
    id: `${family}/${first.name}/${second.name}`,
    family,
    phrasings: comparisonPhrasings(family, first.name, second.name),
    answer: {
      'area-larger': difference > 0 ? first.name : second.name,
      'area-difference': difference,
      'area-sum': sum,
    }[family],
    calls: [
      searchCall(first, 'area'),
      searchCall(second, 'area'),
      calculatorCall(`${areaOf(first)} ${family === 'area-sum' ? '+' : '-'} ${areaOf(second)}`),
    ],
  }
}

function comparisonPhrasings(family: Comparison, first: string, second: string): string[] {
  return {
    'area-larger': [
      `Which is larger, ${first} or ${second}?`,
      `Which has the larger area: ${first} or ${second}?`,
    ],
    'area-difference': [
      `By how many km2 is ${first} larger than ${second}?`,
      `How many km2 larger is ${first} than ${second}?`,
    ],
    'area-sum': [
      `How many km2 do ${first} and ${second} cover together?`,
      `What is the area of ${first} and ${second} together in km2?`,
    ],
  }[family]
}

function searchCall(country: Country, attribute: Attribute): ToolCall {
  return { name: 'search', arguments: { query: `${country.name} ${attribute}` } }
}

function areaOf(country: Country): number {
  if (country.area === undefined)
    throw new HdpoError('ERR_INTERNAL', `the area of ${country.name} is not known`)
  return country.area
}
