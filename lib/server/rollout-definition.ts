// What a served rollout is told at its start.
import type { ResolvedStartRollout } from './server-options.js'

export type RolloutDefinition = ResolvedStartRollout & { id: string }
