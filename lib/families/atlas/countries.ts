// The data of atlas: the npm package world-countries, with names in ASCII and the facts that questions are asked about.
import { createRequire } from 'node:module'
import type { Country as RawCountry } from 'world-countries'
import { HdpoError } from '../../core/errors.js'
import { toAscii } from '../ascii.js'

// The package's ES module entry imports JSON without an import attribute, which Node refuses.
const rawCountries = createRequire(import.meta.url)('world-countries') as RawCountry[]

export const attributes = ['capital', 'region', 'currency', 'language', 'area'] as const
export type Attribute = (typeof attributes)[number]

export interface Country {
  name: string
  /** ISO 3166-1 alpha-3, e.g. 'FRA'. */
  code: string
  /** Other names that people search by. */
  aliases: string[]
  /** Facts as the sheets print them; attributes without a value in the data set are absent. */
  facts: Partial<Record<Attribute, string>>
  /** Square kilometres, if a whole number of at least 1 is known. */
  area?: number
  /** Attributes with exactly one value, so that a question about one has exactly one answer. */
  askable: Attribute[]
}

export const countries: readonly Country[] = rawCountries.map(fromRaw)

/** The answer to a question about one of the country's `askable` attributes. */
export function factOf(country: Country, attribute: Attribute): string {
  const fact = attribute === 'area' ? country.area?.toString() : country.facts[attribute]
  if (fact === undefined) throw new HdpoError('ERR_INTERNAL', `${country.name} has no ${attribute}`)
  return fact
}

function fromRaw(raw: RawCountry): Country {
  const currencies = Object.values(raw.currencies).map((currency) => currency.name)
  const languages = Object.values(raw.languages)
  const values: Record<Attribute, string[]> = {
    capital: raw.capital,
    region: raw.subregion ? [raw.subregion] : [],
    currency: currencies,
    language: languages,
    area: raw.area > 0 ? [`${raw.area} km2`] : [],
  }
  const present = attributes.filter((attribute) => values[attribute].length > 0)
  const hasWholeArea = Number.isInteger(raw.area) && raw.area >= 1
  return {
    name: toAscii(raw.name.common),
    code: raw.cca3,
    aliases: [raw.name.official, ...raw.altSpellings].map(toAscii),
    facts: Object.fromEntries(present.map((attribute) => [attribute, toAscii(values[attribute].join(', '))])),
    ...(hasWholeArea && { area: raw.area }),
    askable: present.filter(
      (attribute) => values[attribute].length === 1 && (attribute !== 'area' || hasWholeArea),
    ),
  }
}
