// Measures both advantages of a million rollouts in groups of 16, in random order, in milliseconds.
import { kernels } from '../lib/native/kernels.js'
import { median } from './training.js'

const groupSize = 16
const runs = 7

export async function measureAdvantages(rollouts: number): Promise<number> {
  const groupIds = Int32Array.from({ length: rollouts }, (_, index) => Math.floor(index / groupSize))
  shuffle(groupIds)
  const correct = Uint8Array.from(groupIds, () => Number(Math.random() < 0.6))
  const input = {
    groupIds,
    accuracyRewards: Float32Array.from(correct, (right) => 0.9 * right + 0.1),
    correct,
    toolCalls: Int32Array.from(groupIds, () => Math.floor(Math.random() * 5)),
  }
  const milliseconds: number[] = []
  for (let run = 0; run < runs; run++) {
    const start = performance.now()
    await kernels.groupAdvantages(input)
    milliseconds.push(performance.now() - start)
  }
  return median(milliseconds)
}

function shuffle(values: Int32Array): void {
  for (let last = values.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1))
    const kept = values[last] as number
    values[last] = values[other] as number
    values[other] = kept
  }
}
