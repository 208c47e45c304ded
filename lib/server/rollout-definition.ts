// The resolved options of a served rollout, with its id.
import type { ResolvedStartRollout } from './server-options.js'

export type RolloutDefinition = ResolvedStartRollout & { id: string }
