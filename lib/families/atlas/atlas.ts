// The first built-in task family: questions over a published data set of 250 countries and arithmetic, with a search engine and
// a calculator. Some questions this policy can answer by heart after the cold start, some need one call, some need several.
import { calculator } from '../../tools/calculator.js'
import type { Tool } from '../../tools/types.js'
import { coldStartDefaults } from '../cold-start.js'
import type { NoiseOptions } from '../noisy-rewards.js'
import { checkFamilyOptions, createTaskFamily, type TaskFamily } from '../task-family.js'
import { createCurriculum } from './curriculum.js'
import { atlasModel } from './model.js'
import { search } from './search.js'

export interface AtlasOptions extends NoiseOptions {
  /** Decides what is taught, held out, asked and in which words. Default 0. */
  seed?: number
  /** Share of each kind of question that RL never sees. Default 0.25. */
  heldOutShare?: number
}

export function createAtlas({
  seed = 0,
  heldOutShare = 0.25,
  answerNoise = 0,
}: AtlasOptions = {}): TaskFamily {
  checkFamilyOptions({ seed, heldOutShare })
  return createTaskFamily({
    name: 'atlas',
    about: 'on countries and arithmetic, with search and calculator',
    questions: createCurriculum(seed, heldOutShare),
    tools: [search, calculator] as Tool[],
    tokenizer: new URL('./tokenizer.json', import.meta.url),
    model: atlasModel,
    coldStart: coldStartDefaults,
    seed,
    answerNoise,
  })
}
