// Where a kernel runs.
import { inspect } from 'node:util'
import { type Device, devices } from '../native.js'
import { checkChoice } from './loss-options.js'

export function checkDevice(value: unknown): Device {
  return value === undefined ? 'cpu' : checkChoice('device', value, devices)
}

/** For kernels that have no option `device`, so that asking for a GPU is never answered by the CPU. */
export function refuseDevice(kernel: string, input: object): void {
  const { device } = input as { device?: unknown }
  if (device === undefined || device === 'cpu') return
  throw new RangeError(`device: ${kernel} runs on the CPU alone, got ${inspect(device)}`)
}
