// The question families of cities: questions with their wordings, the right answers, and the tool calls that find them.
import type { ToolCall } from '../../policy/types.js'
import { type Attribute as CountryAttribute, factOf } from '../atlas/countries.js'
import { calculatorCall, type Question } from '../question.js'
import type { Attribute, City } from './data.js'

const factPhrasings: Record<Attribute, string[]> = {
  country: ['Which country is {} in?', 'In what country is {}?', 'Name the country of {}.'],
  province: ['Which province is {} in?', 'In what province is {}?', 'Name the province of {}.'],
  timezone: ['Which time zone is {} in?', 'What is the time zone of {}?', 'Name the time zone of {}.'],
  population: ['How many people live in {}?', 'What is the population of {}?', 'How populous is {}?'],
}

export function cityQuestion(city: City, attribute: Attribute): Question {
  return {
    id: `${attribute}/${city.name}`,
    family: attribute,
    phrasings: factPhrasings[attribute].map((phrasing) => phrasing.replace('{}', city.name)),
    answer: attribute === 'population' ? city.population : city.facts[attribute],
    calls: [searchCall(city.name, attribute)],
  }
}

/** Attributes of a city's country that are asked about: the second search can only be worded once the first has been answered. */
export const countryAttributes = ['capital', 'currency', 'region'] as const satisfies CountryAttribute[]
type AskedOfCountry = (typeof countryAttributes)[number]

const twoStepPhrasings: Record<AskedOfCountry, string[]> = {
  capital: ['What is the capital of the country that {} is in?', 'Name the capital of the country of {}.'],
  currency: ['What do people pay with in {}?', 'Which currency is used in {}?'],
  region: ['In what part of the world is {}?', 'Which region of the world is {} in?'],
}

export function twoStepQuestion(city: City, attribute: AskedOfCountry): Question {
  return {
    id: `${attribute}-of-country/${city.name}`,
    family: `${attribute}-of-country`,
    phrasings: twoStepPhrasings[attribute].map((phrasing) => phrasing.replace('{}', city.name)),
    answer: factOf(city.country, attribute),
    calls: [searchCall(city.name, 'country'), searchCall(city.country.name, attribute)],
  }
}

export const comparisonFamilies = ['population-larger', 'population-difference', 'population-sum'] as const
type Comparison = (typeof comparisonFamilies)[number]

/** Two searches and a calculation. 'population-difference' asks about the larger one first. */
export function comparisonQuestion(family: Comparison, one: City, other: City): Question {
  const swap = family === 'population-difference' && one.population < other.population
  const [first, second] = swap ? [other, one] : [one, other]
  const difference = first.population - second.population
  const sum = first.population + second.population
  const operator = family === 'population-sum' ? '+' : '-'
  return {
    id: `${family}/${first.name}/${second.name}`,
    family,
    phrasings: comparisonPhrasings(family, first.name, second.name),
    answer: {
      'population-larger': difference > 0 ? first.name : second.name,
      'population-difference': difference,
      'population-sum': sum,
    }[family],
    calls: [
      searchCall(first.name, 'population'),
      searchCall(second.name, 'population'),
      calculatorCall(`${first.population} ${operator} ${second.population}`),
    ],
  }
}

function comparisonPhrasings(family: Comparison, first: string, second: string): string[] {
  return {
    'population-larger': [
      `Which has more people, ${first} or ${second}?`,
      `Where do more people live, in ${first} or in ${second}?`,
    ],
    'population-difference': [
      `How many more people live in ${first} than in ${second}?`,
      `By how many people is ${first} larger than ${second}?`,
    ],
    'population-sum': [
      `How many people live in ${first} and ${second} together?`,
      `What is the population of ${first} and ${second} together?`,
    ],
  }[family]
}

function searchCall(name: string, attribute: Attribute | CountryAttribute): ToolCall {
  return { name: 'search', arguments: { query: `${name} ${attribute}` } }
}
