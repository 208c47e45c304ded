// The first built-in task family: questions over a published data set of 250 countries and arithmetic, with a search engine and
// a calculator. Some questions this policy can answer by heart after the cold start, some need one call, some need several.
import { z } from 'zod'
import { type OptionsOf, readOptions } from '../../core/options.js'
import { calculator } from '../../tools/calculator.js'
import type { Tool } from '../../tools/types.js'
import { coldStartDefaults } from '../cold-start.js'
import { createTaskFamily, familyShape, type TaskFamily } from '../task-family.js'
import { createCurriculum } from './curriculum.js'
import { atlasModel } from './model.js'
import { search } from './search.js'

const atlasOptions = z.strictObject(familyShape)
export interface AtlasOptions extends OptionsOf<typeof familyShape> {}

export function createAtlas(options: AtlasOptions = {}): TaskFamily {
  const { seed, heldOutShare, answerNoise } = readOptions(atlasOptions, options, 'createAtlas')
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
