import { describe, expect, it } from 'vitest'
import { type Country, countries } from '../../../lib/families/atlas/countries.js'
import { formatSheet, noResults, searchSheets } from '../../../lib/families/atlas/fact-sheets.js'
import { search } from '../../../lib/families/atlas/search.js'

const france = countries.find((country) => country.name === 'France') as Country

describe('search', () => {
  it('shows the whole sheet, or the attributes asked for', () => {
    const sheet =
      'France: capital Paris; region Western Europe; currency Euro; language French; area 551695 km2'
    expect(searchSheets('France')).toBe(sheet)
    expect(searchSheets('france CAPITAL')).toBe('France: capital Paris')
    expect(searchSheets('capital and area of France')).toBe('France: capital Paris; area 551695 km2')
    expect(formatSheet(france)).toBe(sheet)
  })

  it('finds countries by other names and by their facts', () => {
    expect(searchSheets('Deutschland capital')).toContain('Germany: capital Berlin')
    expect(searchSheets('Ouagadougou region')).toContain('Burkina Faso: region Western Africa')
  })

  it('is ambiguous where names are, and the exact name comes first', () => {
    expect(searchSheets('Congo capital').split('\n').sort()).toEqual([
      'DR Congo: capital Kinshasa',
      'Republic of the Congo: capital Brazzaville',
    ])
    expect(searchSheets('Guinea capital').split('\n')).toEqual([
      'Guinea: capital Conakry',
      'Guinea-Bissau: capital Bissau',
    ])
    expect(searchSheets('Niger capital')).toMatch(/^Niger: capital Niamey/)
  })

  it('finds nothing for mistyped names or for an attribute alone', () => {
    for (const query of ['Frnce capital', 'capital', '', '!?']) expect(searchSheets(query)).toBe(noResults)
  })

  it('brings the right sheet, among two at most, for every country named in full', () => {
    for (const country of countries) {
      for (const attribute of country.askable) {
        const lines = searchSheets(`${country.name} ${attribute}`).split('\n')
        expect(lines).toContain(formatSheet(country, [attribute]))
        expect(lines.length).toBeLessThanOrEqual(2)
      }
    }
  })

  it('is a tool that takes a query', async () => {
    const context = { signal: new AbortController().signal, rolloutId: 'test' }
    expect(await search.run(search.validate({ query: 'France currency' }), context)).toBe(
      'France: currency Euro',
    )
    expect(() => search.validate({ text: 'France' })).toThrow(/query/)
  })
})
