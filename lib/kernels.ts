// The entry hdpo/kernels: the algorithm's arithmetic by itself, for other trainers, tests and curiosity (docs/algorithm.md).
export {
  type Flags,
  type GroupAdvantages,
  type GroupAdvantagesInput,
  kernels,
  type LinearPolicyLossInput,
  type Numbers,
  type PolicyLossInput,
} from './native/kernels.js'
export type {
  Aggregation,
  Device,
  LinearPolicyLossResult,
  PolicyLossOptions,
  PolicyLossResult,
} from './native/types.js'
