// The data of cities: the npm package city-timezones (7,300 cities, MIT licence), each linked with its country of
// world-countries by ISO code, so that a question can need both.
import { createRequire } from 'node:module'
import type { CityData } from 'city-timezones'
import { toAscii } from '../ascii.js'
import { type Country, countries } from '../atlas/countries.js'

const require = createRequire(import.meta.url)

export const attributes = ['country', 'province', 'timezone', 'population'] as const
export type Attribute = (typeof attributes)[number]

export interface City {
  /** Unique; namesakes are named like 'Springfield (Illinois)'. */
  name: string
  /** Empty: a city has one name here. The facts tell namesakes apart. */
  aliases: string[]
  facts: Record<Attribute, string>
  country: Country
  population: number
}

/** The cities whose country, province and population are in the data set, the largest first. */
export function cities(): readonly City[] {
  read ??= readCities()
  return read
}

let read: readonly City[] | undefined

function readCities(): City[] {
  const { cityMapping } = require('city-timezones') as { cityMapping: CityData[] }
  const byCode = new Map(countries.map((country) => [country.code, country]))
  const complete = cityMapping.flatMap((raw) => {
    const country = byCode.get(raw.iso3)
    return country && raw.province && raw.timezone && Number.isInteger(raw.pop) && raw.pop > 0
      ? [{ raw, country, city: toAscii(raw.city), province: toAscii(raw.province) }]
      : []
  })
  const namesakes = countOf(complete.map(({ city }) => city))
  const named = complete.map(({ raw, country, city, province }) => ({
    name: namesakes.get(city) === 1 ? city : `${city} (${province})`,
    aliases: [],
    facts: {
      country: country.name,
      province,
      timezone: raw.timezone,
      population: String(raw.pop),
    },
    country,
    population: raw.pop,
  }))
  // Two cities of one name in one province cannot be told apart.
  const names = countOf(named.map(({ name }) => name))
  return named
    .filter(({ name }) => names.get(name) === 1)
    .sort((one, other) => other.population - one.population || (one.name < other.name ? -1 : 1))
}

function countOf(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}
