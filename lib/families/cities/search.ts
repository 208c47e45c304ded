// Full-text search over the sheets of all 7,000 cities and of 250 countries, whatever a seed asks about.
import { z } from 'zod'
import { defineTool } from '../../tools/define-tool.js'
import { countries, attributes as countryAttributes } from '../atlas/countries.js'
import { createSheetSearch, type FactSheet } from '../sheet-search.js'
import { attributes, cities } from './data.js'

let sheets: FactSheet[] | undefined

export const citySheets = createSheetSearch(() => {
  sheets ??= [...cities(), ...countries]
  return sheets
}, [...attributes, ...countryAttributes])

export const search = defineTool({
  name: 'search',
  description:
    'Full-text search over sheets of cities and countries. Name the city or country and what you want to know about it.',
  input: z.object({ query: z.string() }),
  run: ({ query }) => citySheets.search(query),
})
