// One step of HDPO, whole: rollouts, rewards, advantages, loss, update. Trainer (lib/trainer/trainer.ts) is this in a loop, with
// checkpoints, evaluations and metrics around it. Takes some ten seconds:
//
//   npx tsx examples/one-step.ts
import { coldStartWeights, createAtlas } from '../lib/families.js' // in your own project: from 'hdpo/families'
// In your own project: from 'hdpo'.
import {
  assignAdvantages,
  Policy,
  type PolicyBatch,
  packPolicyBatch,
  runGroup,
  type ScoredRollout,
  scoreRollouts,
  type Task,
} from '../lib/index.js'

export async function oneStep({ prompts = 32, groupSize = 16, tell = console.log } = {}): Promise<Step> {
  // A small policy after its cold start: it calls a tool for nearly every question, also for what it knows by heart.
  const { model, tokenizer, template, tools, trainTasks, reward } = createAtlas()
  const policy = await Policy.create({ config: model, tokenizer, template })
  try {
    await policy.loadWeights(await coldStartWeights('atlas'))

    // 1. Rollouts: every question is answered groupSize times, tools included, all side by side.
    // 2. Rewards: 0.9 for the right answer, 0.1 for whole markup. (A judge may leave a rollout ungraded; this reward never does.)
    const playGroup = async (task: Task, seed: number) => {
      const rollouts = await runGroup(policy, task, tools, { size: groupSize, seed, maxTurnTokens: 48 })
      return (await scoreRollouts(rollouts, task, reward)) as ScoredRollout[]
    }
    const scored = await Promise.all(trainTasks.slice(0, prompts).map(playGroup))

    // 3. Advantages, two per rollout: accuracy against its whole group, efficiency only against the right rollouts of its group.
    const rollouts = (await assignAdvantages(scored, { name: 'hdpo' })).flat()

    // 4. Loss and update: each channel is clipped and averaged on its own, then both are weighted and added; one step of AdamW.
    const batch = packPolicyBatch(rollouts)
    const before = await sequenceLogprobs(policy, batch)
    const weights = { accuracyWeight: 1, efficiencyWeight: 0.15 }
    const { loss, gradientNorm } = await policy.policyStep(batch, weights, { learningRate: 5e-4 })
    const after = await sequenceLogprobs(policy, batch)

    // What the update did to the rollouts that it was made from.
    const change = (wanted: (rollout: (typeof rollouts)[number]) => boolean): Change => {
      const changes = rollouts.flatMap((rollout, index) =>
        wanted(rollout) ? [(after[index] as number) - (before[index] as number)] : [],
      )
      return { rollouts: changes.length, nats: changes.reduce((sum, nats) => sum + nats, 0) / changes.length }
    }
    const changes = {
      'right, with fewer calls than others': change(({ efficiencyAdvantage }) => efficiencyAdvantage > 0),
      'right, with more calls than others': change(({ efficiencyAdvantage }) => efficiencyAdvantage < 0),
      'wrong, in a group with right ones': change(({ accuracyAdvantage }) => accuracyAdvantage < 0),
    }
    tell(
      `${rollouts.length} rollouts, loss ${loss.toFixed(4)}, norm of the gradient ${gradientNorm.toFixed(3)}`,
    )
    for (const [which, { rollouts, nats }] of Object.entries(changes))
      tell(`${which}: ${rollouts} rollouts, logprob ${nats > 0 ? '+' : ''}${nats.toFixed(2)} on average`)
    return { rollouts: rollouts.length, loss, gradientNorm, changes }
  } finally {
    await policy.close()
  }
}

/** How likely the policy finds each sequence of the batch: the sum of the logprobs of the tokens that it sampled. */
async function sequenceLogprobs(policy: Policy, { tokens, offsets, mask }: PolicyBatch): Promise<number[]> {
  const { logprobs } = await policy.logprobs(tokens, offsets)
  const sampled = logprobs.map((logprob, token) => (mask[token] === 1 ? logprob : 0))
  return Array.from(offsets.subarray(1), (end, index) =>
    sampled.subarray(offsets[index], end).reduce((sum, logprob) => sum + logprob, 0),
  )
}

interface Change {
  rollouts: number
  /** Rise of the sum of a rollout's logprobs, averaged over the rollouts. */
  nats: number
}

export interface Step {
  rollouts: number
  loss: number
  gradientNorm: number
  changes: Record<string, Change>
}

if (import.meta.filename === process.argv[1]) await oneStep()
