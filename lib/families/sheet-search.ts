// Full-text search over one-line fact sheets, as imperfect as real search: ambiguous names find several sheets or the wrong one,
// and a query that matches nothing finds nothing.
import MiniSearch from 'minisearch'
import { toAscii } from './ascii.js'

export const noResults = 'No results.'

export interface FactSheet {
  name: string
  /** Other words that the sheet is found by. */
  aliases: readonly string[]
  /** Attribute to value, as printed. */
  facts: Partial<Record<string, string>>
}

export interface SheetSearch {
  /** The best sheet or two, one per line, shortened to the attributes that the query names. */
  search(query: string): string
  /** One line with the attributes asked for, or with all of them if the sheet has none of those. */
  format(sheet: FactSheet, asked?: readonly string[]): string
}

// A second sheet is shown if it matches nearly as well as the first.
const closeMatch = 0.7

// Words too common to search by.
const stopWords = new Set('a an and by does for how in is of on or the to what which who with'.split(' '))

/** `attributes`: in the order in which sheets print them; a query that names some shows only those. */
export function createSheetSearch(
  sheets: () => readonly FactSheet[],
  attributes: readonly string[],
): SheetSearch {
  // The sheets are read and indexed by the first search, so that importing hdpo does not take that time.
  let index: MiniSearch | undefined
  const isAttribute = (word: string): boolean => attributes.includes(word.toLowerCase())
  const format = (sheet: FactSheet, asked: readonly string[] = []): string => {
    const present = attributes.filter((attribute) => sheet.facts[attribute] !== undefined)
    const wanted = present.filter((attribute) => asked.includes(attribute))
    const shown = wanted.length > 0 ? wanted : present
    return `${sheet.name}: ${shown.map((attribute) => `${attribute} ${sheet.facts[attribute]}`).join('; ')}`
  }
  const search = (query: string): string => {
    const words = query.split(/[^\p{L}\p{N}'-]+/u).filter(Boolean)
    const asked = attributes.filter((attribute) => words.some((word) => word.toLowerCase() === attribute))
    // Every sheet contains the attributes' names, so they choose what is shown and not which sheet is found.
    const terms = words.filter((word) => !isAttribute(word))
    index ??= indexOf(sheets())
    const [best, second] = index.search(terms.join(' '))
    if (!best) return noResults
    const found = second && second.score >= closeMatch * best.score ? [best, second] : [best]
    return found.map((result) => format(sheets()[result.id] as FactSheet, asked)).join('\n')
  }
  return { search, format }
}

function indexOf(sheets: readonly FactSheet[]): MiniSearch {
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
    sheets.map((sheet, id) => ({
      id,
      name: sheet.name,
      aliases: sheet.aliases.join(' '),
      facts: Object.values(sheet.facts).join(' '),
    })),
  )
  return index
}
