// The country fact sheets and the search over them.
import { createSheetSearch } from '../sheet-search.js'
import { type Attribute, attributes, type Country, countries } from './countries.js'

export { noResults } from '../sheet-search.js'

const sheets = createSheetSearch(() => countries, attributes)

/** The best sheet or two, shortened to the attributes that the query names. */
export function searchSheets(query: string): string {
  return sheets.search(query)
}

/** One line with the attributes asked for, or with all of them if the sheet has none of those. */
export function formatSheet(country: Country, asked: readonly Attribute[] = []): string {
  return sheets.format(country, asked)
}
