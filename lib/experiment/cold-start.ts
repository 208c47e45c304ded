// Makes a policy from nothing: random weights, then supervised training on an environment's conversations.
import { deriveSeed } from '../core/seed.js'
import type { ModelConfig } from '../native/types.js'
import type { ChatTemplateSource } from '../policy/chat-template.js'
import { Policy, type PolicyOptions } from '../policy/policy.js'
import type { TokenizerFiles } from '../policy/tokenizer.js'
import type { RunOptions } from '../trainer/run-loop.js'
import type { SupervisedTrainerOptions } from '../trainer/supervised-options.js'
import { type SupervisedStep, SupervisedTrainer } from '../trainer/supervised-trainer.js'
import { takeSteps } from './take-steps.js'

/** What an untrained policy is made from. */
interface FreshPolicy {
  model: ModelConfig
  tokenizer: TokenizerFiles
  template: ChatTemplateSource
}

/** A policy with random weights, which depend on `seed` where one is given. */
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
  /** Determines the initial weights and the order of the conversations. */
  seed: number
  /** Where the trained policy is saved. */
  policyFolder: string
  run: RunOptions
  /** Called after each step; `steps` is the number of steps of the whole run. */
  onStep: (step: SupervisedStep, steps: number) => void
}

/**
 * Resolves with the trained policy, which the caller closes. Rejects with the signal's reason where that stopped the training
 * before its last step.
 */
export async function coldStart(options: ColdStartOptions): Promise<{ policy: Policy; steps: number }> {
  const { fresh, settings, seed, policyFolder, run, onStep, policy: policyOptions, ...supervised } = options
  const policy = await createPolicy(fresh, policyOptions, seed)
  try {
    const trainer = new SupervisedTrainer({
      ...supervised,
      ...settings,
      policy,
      // Training needs the memory and the processor; whoever looks at the run indexes it.
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
