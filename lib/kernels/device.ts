// Where a kernel runs.
import { inspect } from 'node:util'
import type { Device } from '../native.js'

const devices: readonly Device[] = ['auto', 'cpu', 'cuda']

export function checkDevice(value: unknown): Device {
  if (value === undefined) return 'cpu'
  if (typeof value !== 'string') throw new TypeError(`device: must be a string, got ${inspect(value)}`)
  if (!devices.includes(value as Device)) {
    throw new RangeError(`device: must be one of ${devices.join(', ')}, got ${inspect(value)}`)
  }
  return value as Device
}

/** For kernels that have no option `device`, so that asking for a GPU is never answered by the CPU. */
export function refuseDevice(kernel: string, input: object): void {
  const { device } = input as { device?: unknown }
  if (device === undefined || device === 'cpu') return
  throw new RangeError(`device: ${kernel} runs on the CPU alone, got ${inspect(device)}`)
}
