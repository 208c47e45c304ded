// The memory that training will take, in one line before its first step.
import type { MemoryPlan } from '../../native/types.js'

export function formatMemoryPlan(plan: MemoryPlan): string {
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`
  const parts = [
    ['weights', plan.weights],
    ['for generation', plan.generationWeights],
    ['adapter', plan.adapters],
    ['gradients', plan.gradients],
    ['optimiser', plan.optimizer],
    ['activations and workspace', plan.activations],
    ['cached keys and values', plan.kvCache],
    ['generation steps', plan.generationWorkspace],
  ] as const
  const held = parts.filter(([, bytes]) => bytes >= 5e6).map(([name, bytes]) => `${name} ${gigabytes(bytes)}`)
  const list = held.length > 0 ? ` (${held.join(', ')})` : ''
  return `memory: ${gigabytes(plan.total)} in all${list}; ${gigabytes(plan.available)} still free`
}
