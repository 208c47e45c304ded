// Where a kernel runs.
import { type Device, devices } from '../types.js'
import { checkChoice } from './loss-options.js'

export function checkDevice(value: unknown): Device {
  return value === undefined ? 'cpu' : checkChoice('device', value, devices)
}
