// The best rates that this machine gives (rates.cpp). Figures are given as shares of them, because these compare better across
// machines than ratios to a peer do.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { buildWithCMake } from '../scripts/cmake.mjs'
import { root } from '../scripts/command.mjs'

export interface MachineRates {
  float32Gflops: number
  bfloat16Gflops: number
  readGigabytesPerSecond: number
}

/** Compiles the program that measures the rates. */
export async function buildRates(): Promise<void> {
  await buildWithCMake('hdpo_rates')
}

export function measureRates(threads: number): MachineRates {
  const program = join(root, 'build', 'cmake', 'hdpo_rates')
  return JSON.parse(execFileSync(program, [String(threads)], { encoding: 'utf8' })) as MachineRates
}

/** The better of two measurements per rate: other processes slow a machine down, but never speed it up. */
export function bestRates(one: MachineRates, other: MachineRates): MachineRates {
  return {
    float32Gflops: Math.max(one.float32Gflops, other.float32Gflops),
    bfloat16Gflops: Math.max(one.bfloat16Gflops, other.bfloat16Gflops),
    readGigabytesPerSecond: Math.max(one.readGigabytesPerSecond, other.readGigabytesPerSecond),
  }
}
