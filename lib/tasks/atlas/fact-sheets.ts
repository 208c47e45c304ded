// The country fact sheets and full-text search over them, imperfect in the ways real search is: ambiguous names bring
// several sheets or the wrong one, and a query that matches nothing brings nothing.
import MiniSearch from 'minisearch'
import { type Attribute, attributes, type Country, countries, toAscii } from './countries.js'

export const noResults = 'No results.'

// A second sheet is shown when it matches nearly as well as the first.
const closeMatch = 0.7

// Too common to search by.
const stopWords = new Set('a an and by does for how in is of on or the to what which who with'.split(' '))

const index = new MiniSearch({
  fields: ['name', 'aliases', 'facts'],
  processTerm: (term) => {
    const word = toAscii(term).toLowerCase()
    return stopWords.has(word) ? null : word
  },
  searchOptions: {
    boost: { name: 4, aliases: 0.5, facts: 0.5 },
    prefix: (term) => term.length >= 4,
    weights: { prefix: 0.3, fuzzy: 0 },
  },
})
index.addAll(
  countries.map((country, id) => ({
    id,
    name: country.name,
    aliases: country.aliases.join(' '),
    facts: Object.values(country.facts).join(' '),
  })),
)

/** The best sheet, or the best two; shortened to the attributes that the query names. */
export function searchSheets(query: string): string {
  const words = query.split(/[^\p{L}\p{N}'-]+/u).filter(Boolean)
  const asked = attributes.filter((attribute) => words.some((word) => word.toLowerCase() === attribute))
  // Every sheet has these words: they choose what is shown, not which sheet.
  const terms = words.filter((word) => !isAttribute(word))
  const [best, second] = index.search(terms.join(' '))
  if (!best) return noResults
  const found = second && second.score >= closeMatch * best.score ? [best, second] : [best]
  return found.map((result) => formatSheet(countries[result.id] as Country, asked)).join('\n')
}

/** One line: the attributes asked for, or all of them where the sheet has none of those. */
export function formatSheet(country: Country, asked: readonly Attribute[] = []): string {
  const present = attributes.filter((attribute) => country.facts[attribute] !== undefined)
  const wanted = present.filter((attribute) => asked.includes(attribute))
  const shown = wanted.length > 0 ? wanted : present
  return `${country.name}: ${shown.map((attribute) => `${attribute} ${country.facts[attribute]}`).join('; ')}`
}

function isAttribute(word: string): boolean {
  return (attributes as readonly string[]).includes(word.toLowerCase())
}
