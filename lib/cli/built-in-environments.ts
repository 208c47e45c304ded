// The task families that come with hdpo, by name, as environments.
import { z } from 'zod'
import { createAtlas } from '../tasks/atlas/atlas.js'
import { checkConfig } from './config.js'
import type { Environment, EnvironmentContext } from './environment.js'

/** `environmentSettings` of a config, for the built-in families. */
const settingsSchema = z.strictObject({
  heldOutShare: z.number().gt(0).lt(1).exactOptional(),
  answerNoise: z.number().min(0).max(1).exactOptional(),
})

export const builtInEnvironments: Record<string, (context: EnvironmentContext) => Environment> = {
  atlas: atlasEnvironment,
}

export function atlasEnvironment({
  seed,
  settings = {},
}: Pick<EnvironmentContext, 'seed' | 'settings'>): Environment {
  const atlas = createAtlas({ seed, ...checkConfig(settings, settingsSchema, 'environmentSettings') })
  return {
    tools: atlas.tools,
    tasks: atlas.trainTasks,
    heldOutTasks: atlas.heldOutTasks,
    reward: atlas.reward,
    evaluationReward: atlas.evaluationReward,
    conversations: () => atlas.coldStart(),
    tokenizer: atlas.tokenizer,
    template: atlas.template,
    model: atlas.model,
  }
}
