// All faults of the campaign, in the order of its table.
import type { Fault } from './campaign.js'
import { kills } from './kill.js'

export const faults: readonly Fault[] = [...kills]
