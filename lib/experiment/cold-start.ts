// A policy from nothing: random weights, then supervised training on an environment's conversations.
import { deriveSeed } from '../core/seed.js'
import type { ModelConfig } from '../native/types.js'
import type { ChatTemplateSource } from '../policy/chat-template.js'
import { Policy, type PolicyOptions } from '../policy/policy.js'
import type { TokenizerFiles } from '../policy/tokenizer.js'
import type { RunOptions } from '../trainer/run-loop.js'
import type { SupervisedTrainerOptions } from '../trainer/supervised-options.js'
import { type SupervisedStep, SupervisedTrainer } from '../trainer/supervised-trainer.js'
import { takeSteps } from './take-steps.js'

/** What a policy without training is made of. */
interface FreshPolicy {
  model: ModelConfig
  tokenizer: TokenizerFiles
  template: ChatTemplateSource
}

/** Random weights, which follow from `seed` where one is given. */
export function createPolicy(
  { model: config, tokenizer, template }: FreshPolicy,
  options?: PolicyOptions,
  seed?: number,
): Promise<Policy> {
  return Policy.create({
    ...options,
    config,
    tokenizer,
    template,
    ...(seed !== undefined && { seed: deriveSeed(seed, 'weights') }),
  })
}

export interface ColdStartOptions
  extends Pick<SupervisedTrainerOptions, 'conversations' | 'tools' | 'output' | 'onWarning'> {
  fresh: FreshPolicy
  policy?: PolicyOptions
  settings: Pick<SupervisedTrainerOptions, 'epochs' | 'steps' | 'tokensPerStep' | 'optimizer'>
  /** Weights and order of the conversations follow from it. */
  seed: number
  /** Where the policy is saved once it is trained. */
  policyFolder: string
  run: RunOptions
  /** `steps` is the number of steps of the whole run. */
  onStep: (step: SupervisedStep, steps: number) => void
}

/** The trained policy, for the caller to close. Rejects with the signal's reason where that stopped it before its last step. */
export async function coldStart(options: ColdStartOptions): Promise<{ policy: Policy; steps: number }> {
  const { fresh, settings, seed, policyFolder, run, onStep, policy: policyOptions, ...supervised } = options
  const policy = await createPolicy(fresh, policyOptions, seed)
  try {
    const trainer = new SupervisedTrainer({
      ...supervised,
      ...settings,
      policy,
      // Memory and processor are for the training: whoever looks at the run makes its index.
      index: false,
      seed: deriveSeed(seed, 'cold-start'),
    })
    const { steps } = trainer
    const last = await takeSteps(trainer.run(run), (step) => onStep(step, steps))
    if (last < steps) run.signal?.throwIfAborted()
    await policy.save(policyFolder)
    return { policy, steps }
  } catch (error) {
    await policy.close()
    throw error
  }
}
