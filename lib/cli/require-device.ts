// A GPU that is asked for by name and is not there ends a command before it has written anything.
import { HdpoError } from '../errors.js'
import { type Device, loadAddon } from '../native.js'

export function requireDevice(device: Device): void {
  if (device !== 'cuda') return
  const { usable, missing } = loadAddon().cudaStatus()
  if (!usable) throw new HdpoError('ERR_DEVICE', `--device cuda: ${missing}`)
}
