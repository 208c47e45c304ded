// A command that names a GPU which is not there ends before it has written anything.
import { HdpoError } from '../../core/errors.js'
import { loadAddon } from '../../native/addon.js'
import type { Device } from '../../native/types.js'

export function requireDevice(device: Device): void {
  if (device !== 'cuda') return
  const { usable, missing } = loadAddon().cudaStatus()
  if (!usable) throw new HdpoError('ERR_DEVICE', `--device cuda: ${missing}`)
}
