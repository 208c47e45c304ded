// The second built-in task family: 1,500 of the world's cities (of 7,000 that the search engine knows) and the countries they
// are in. Six times the facts of atlas, names that are alike, and questions whose second search can only be worded when the
// first has answered.
import { calculator } from '../../tools/calculator.js'
import type { Tool } from '../../tools/types.js'
import type { NoiseOptions } from '../noisy-rewards.js'
import { checkFamilyOptions, createTaskFamily, type TaskFamily } from '../task-family.js'
import { createCurriculum } from './curriculum.js'
import { cities } from './data.js'
import { citiesModel } from './model.js'
import { search } from './search.js'

export interface CitiesOptions extends NoiseOptions {
  /** Decides what is taught, held out, asked and in which words. Default 0. */
  seed?: number
  /** How many cities are asked about, the largest ones, from 1,000. Default 1,500. */
  count?: number
  /** Share of each kind of question that RL never sees. Default 0.25. */
  heldOutShare?: number
}

// Fewer have too few namesakes and pairs to ask about.
const fewestCities = 1000

export function createCities({
  seed = 0,
  count = 1500,
  heldOutShare = 0.25,
  answerNoise = 0,
}: CitiesOptions = {}): TaskFamily {
  checkFamilyOptions({ seed, heldOutShare })
  if (!Number.isInteger(count) || count < fewestCities || count > cities().length) {
    throw new RangeError(
      `count: must be a whole number from ${fewestCities} to ${cities().length}, the cities there are, got ${count}`,
    )
  }
  return createTaskFamily({
    name: 'cities',
    about: 'on cities and their countries, with search and calculator',
    questions: createCurriculum(seed, count, heldOutShare),
    tools: [search, calculator] as Tool[],
    tokenizer: new URL('./tokenizer.json', import.meta.url),
    model: citiesModel,
    // More questions than atlas has: fewer copies of each teach as much, for what is alike among them is taught by all.
    coldStart: { knowledgeCopies: 4, guessCopies: 3, directShare: 0.03, mistakeShare: 0.04 },
    seed,
    answerNoise,
  })
}
