// The entry hdpo/families: the built-in task families, to train on without data of your own (docs/tasks.md).
export { type AtlasOptions, createAtlas } from './families/atlas/atlas.js'
export type { BuiltInFamily } from './families/built-in-families.js'
export { type CitiesOptions, createCities } from './families/cities/cities.js'
export type { ColdStartConversation, ColdStartOptions } from './families/cold-start.js'
export type { NoiseOptions, TaskRewards } from './families/noisy-rewards.js'
export { coldStartWeights } from './families/shipped-cold-start.js'
export type { TaskFamily } from './families/task-family.js'
