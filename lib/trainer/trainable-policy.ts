// What the trainers need of a policy beyond rolling out. `Policy` implements it; tests implement it with a
// script.
import type {
  GenerationPrecision,
  GenerationStats,
  LoraOptions,
  OptimizerOptions,
  PackedSequences,
  PolicyBatch,
  PolicyLossOptions,
  StepResult,
} from '../native/types.js'
import type { RolloutPolicy } from '../policy/types.js'

export interface TrainablePolicy extends RolloutPolicy {
  policyStep(batch: PolicyBatch, loss: PolicyLossOptions, optimizer: OptimizerOptions): Promise<StepResult>
  supervisedStep(batch: PackedSequences, optimizer: OptimizerOptions): Promise<StepResult>
  logprobs(
    tokens: Int32Array,
    offsets: Int32Array,
    options?: { temperature?: number; reference?: boolean },
  ): Promise<{ logprobs: Float32Array; entropies: Float32Array }>
  freezeReference(): Promise<void>
  /** How rollouts read the weights, if the policy says so. */
  readonly generationPrecision?: GenerationPrecision
  /** Present if only an adapter is trained: then the weights without it are the KL reference. */
  readonly lora?: LoraOptions | undefined
  /** What determines the numbers of a run but is in no checkpoint: adapter options, the base's fingerprint, precisions. */
  identity?(): Promise<Record<string, unknown>>
  /** Writes exactly what training changes into a folder that is being filled; loadCheckpoint reads it back. */
  saveCheckpoint(folder: string): Promise<void>
  loadCheckpoint(folder: string): Promise<void>
  saveWeights(path: string): Promise<void>
  loadWeights(path: string): Promise<void>
  saveOptimizer(path: string): Promise<void>
  loadOptimizer(path: string): Promise<void>
  /** Counts since the policy was made. */
  generationStats(): Promise<GenerationStats>
}
