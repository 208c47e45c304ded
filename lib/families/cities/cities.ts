// The second built-in task family: 1,500 of the world's cities (of 7,000 that the search engine knows) and the countries they
// are in. It has six times the facts of atlas, names that are alike, and questions whose second search can only be worded once
// the first has been answered.
import { z } from 'zod'
import { InvalidOptionError } from '../../core/option-error.js'
import { type OptionsOf, readOptions } from '../../core/options.js'
import { calculator } from '../../tools/calculator.js'
import type { Tool } from '../../tools/types.js'
import { createTaskFamily, familyShape, type TaskFamily } from '../task-family.js'
import { createCurriculum } from './curriculum.js'
import { cities } from './data.js'
import { citiesModel } from './model.js'
import { search } from './search.js'

// Fewer cities have too few namesakes and pairs to ask about.
const fewestCities = 1000

export const citiesShape = {
  ...familyShape,
  /** How many cities are asked about, the largest ones, from 1,000. Default 1,500. */
  count: z.int().min(fewestCities).default(1500),
}
const citiesOptions = z.strictObject(citiesShape)
export interface CitiesOptions extends OptionsOf<typeof citiesShape> {}

export function createCities(options: CitiesOptions = {}): TaskFamily {
  const { seed, count, heldOutShare, answerNoise } = readOptions(citiesOptions, options, 'createCities')
  const most = cities().length
  if (count > most) {
    throw new InvalidOptionError('createCities.count', `at most ${most}, the cities there are`, count)
  }
  return createTaskFamily({
    name: 'cities',
    about: 'on cities and their countries, with search and calculator',
    questions: createCurriculum(seed, count, heldOutShare),
    tools: [search, calculator] as Tool[],
    tokenizer: new URL('./tokenizer.json', import.meta.url),
    model: citiesModel,
    // There are more questions than in atlas, and all of them teach what they have in common, so fewer copies of each are enough.
    coldStart: { knowledgeCopies: 4, guessCopies: 3, directShare: 0.03, mistakeShare: 0.04 },
    seed,
    answerNoise,
  })
}
