// All faults of the campaign, in the order of its table.
import { bits } from './bits.js'
import type { Fault } from './campaign.js'
import { clocks } from './clock.js'
import { disks } from './disk.js'
import { endpoints } from './endpoint.js'
import { kills } from './kill.js'
import { owners } from './owners.js'
import { toolServers } from './tool-server.js'

export const faults: readonly Fault[] = [
  ...kills,
  ...disks,
  ...owners,
  ...bits,
  ...clocks,
  ...toolServers,
  ...endpoints,
]
