// The built-in task families by name, as environments.
import { z } from 'zod'
import { createAtlas } from '../../families/atlas/atlas.js'
import { citiesShape, createCities } from '../../families/cities/cities.js'
import { familyShape, type TaskFamily } from '../../families/task-family.js'
import type { Environment } from '../../trainer/environment.js'
import { checkConfig } from './config.js'

/** `environmentSettings` of a config, for each built-in family. */
const { heldOutShare, answerNoise } = familyShape
export const settingsShape = { heldOutShare, answerNoise }
export const citiesSettingsShape = { ...settingsShape, count: citiesShape.count }
const settingsSchema = z.strictObject(settingsShape)
const citiesSettingsSchema = z.strictObject(citiesSettingsShape)

export const builtInEnvironments: Record<string, (context: EnvironmentContext) => Environment> = {
  atlas: ({ seed, settings = {} }) =>
    fromFamily(createAtlas({ seed, ...checkConfig(settings, settingsSchema, 'environmentSettings') })),
  cities: ({ seed, settings = {} }) =>
    fromFamily(createCities({ seed, ...checkConfig(settings, citiesSettingsSchema, 'environmentSettings') })),
}

function fromFamily(family: TaskFamily): Environment {
  return {
    tools: family.tools,
    tasks: family.trainTasks,
    heldOutTasks: family.heldOutTasks,
    reward: family.reward,
    evaluationReward: family.evaluationReward,
    conversations: () => family.coldStart(),
    tokenizer: family.tokenizer,
    template: family.template,
    model: family.model,
  }
}

export interface EnvironmentContext {
  seed: number
  /** `environmentSettings` of the config. */
  settings?: Readonly<Record<string, unknown>>
  /** Relative paths start here. */
  folder: string
}
