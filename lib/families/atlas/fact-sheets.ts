// The country fact sheets and the search over them.
import { createSheetSearch } from '../sheet-search.js'
import { type Attribute, attributes, type Country, countries } from './countries.js'

export { noResults } from '../sheet-search.js'

const sheets = createSheetSearch(() => countries, attributes)

/** The best sheet, or the best two; shortened to the attributes that the query names. */
export function searchSheets(query: string): string {
  return sheets.search(query)
}

/** One line: the attributes asked for, or all of them where the sheet has none of those. */
export function formatSheet(country: Country, asked: readonly Attribute[] = []): string {
  return sheets.format(country, asked)
}
