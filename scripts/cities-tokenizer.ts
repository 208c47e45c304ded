// Trains the tokenizer of cities and writes it as lib/families/cities/tokenizer.json (Hugging Face format):
//   npx tsx scripts/cities-tokenizer.ts
// The texts are the family's own, of every city and country and in every wording, so they depend on no seed: the same data give
// the same file.
import { fileURLToPath } from 'node:url'
import { countries } from '../lib/families/atlas/countries.js'
import { attributes, cities } from '../lib/families/cities/data.js'
import {
  cityQuestion,
  comparisonFamilies,
  comparisonQuestion,
  countryAttributes,
  twoStepQuestion,
} from '../lib/families/cities/questions.js'
import { citySheets } from '../lib/families/cities/search.js'
import { scaffolding, writeTaskTokenizer } from './task-tokenizer.js'

const vocabSize = 4096
const output = fileURLToPath(new URL('../lib/families/cities/tokenizer.json', import.meta.url))

function texts(): string[] {
  const [one, other] = cities()
  if (!one || !other) throw new Error('the data set has no cities')
  // Larger cities are asked about more often, so their names weigh more.
  const ofCities = cities().flatMap((city, rank) => [
    citySheets.format(city),
    ...(rank < 3000 ? attributes.flatMap((attribute) => cityQuestion(city, attribute).phrasings) : []),
  ])
  const ofCountries = countries.flatMap((country) => Array<string>(8).fill(citySheets.format(country)))
  const wordings = [
    ...countryAttributes.flatMap((attribute) => twoStepQuestion(one, attribute).phrasings),
    ...comparisonFamilies.flatMap((family) => comparisonQuestion(family, one, other).phrasings),
    'What is 1 + 2?',
  ]
  return [
    ...ofCities,
    ...ofCountries,
    ...Array<string[]>(2000)
      .fill([...wordings, ...scaffolding()])
      .flat(),
  ]
}

writeTaskTokenizer(output, texts(), vocabSize)
