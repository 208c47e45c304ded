// The task families that come with hdpo, by the name that configs and flags give them.
import { createAtlas } from './atlas/atlas.js'
import { createCities } from './cities/cities.js'

export const builtInFamilies = { atlas: createAtlas, cities: createCities }
export type BuiltInFamily = keyof typeof builtInFamilies
