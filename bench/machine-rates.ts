// What this machine gives at best (rates.cpp): the bounds that figures are shares of, which travel better than ratios to a peer.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { buildWithCMake } from '../scripts/cmake.mjs'
import { root } from '../scripts/command.mjs'

export interface MachineRates {
  float32Gflops: number
  bfloat16Gflops: number
  readGigabytesPerSecond: number
}

/** Compiles what measures them. */
export async function buildRates(): Promise<void> {
  await buildWithCMake('hdpo_rates')
}

export function measureRates(threads: number): MachineRates {
  const program = join(root, 'build', 'cmake', 'hdpo_rates')
  return JSON.parse(execFileSync(program, [String(threads)], { encoding: 'utf8' })) as MachineRates
}

/** Of two measurements, the better of each rate: a machine is slowed down by others, never sped up. */
export function bestRates(one: MachineRates, other: MachineRates): MachineRates {
  return {
    float32Gflops: Math.max(one.float32Gflops, other.float32Gflops),
    bfloat16Gflops: Math.max(one.bfloat16Gflops, other.bfloat16Gflops),
    readGigabytesPerSecond: Math.max(one.readGigabytesPerSecond, other.readGigabytesPerSecond),
  }
}
