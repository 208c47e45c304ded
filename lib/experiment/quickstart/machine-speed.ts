// Measures within a second or two how fast this machine samples from and trains a model, for a forecast.
import type { Policy } from '../../policy/policy.js'
import { packSequences } from '../../trainer/batch.js'

export interface MachineSpeed {
  /** Tokens sampled per second, with hundreds of sequences side by side. */
  sampled: number
  /** Tokens trained per second. */
  trained: number
}

const prompts = 32
const forks = 8
const promptTokens = 16
const sampledTokens = 12
const trainedSequences = 32
const trainedTokens = 64

/** Measures with a policy whose weights do not matter, because a training step changes them. */
export async function measureMachineSpeed(policy: Policy): Promise<MachineSpeed> {
  const random = tokensOf(policy.config.vocabSize)
  // A warm-up, because kernels are generated on first use.
  await sample(policy, random, 2, 2)
  const sampled = await perSecond(prompts * forks * sampledTokens, () =>
    sample(policy, random, prompts, sampledTokens),
  )
  await train(policy, random, 4)
  const trained = await perSecond(trainedSequences * trainedTokens, () =>
    train(policy, random, trainedSequences),
  )
  return { sampled, trained }
}

/** Tokens in a fixed pattern, since any text costs the same; sampling is given no end token that would stop it early. */
function tokensOf(vocabSize: number): (length: number, start: number) => number[] {
  return (length, start) => Array.from({ length }, (_, index) => (7 * (start * length + index)) % vocabSize)
}

async function sample(
  policy: Policy,
  random: ReturnType<typeof tokensOf>,
  count: number,
  maxTokens: number,
): Promise<void> {
  const group = async (index: number) => {
    const prompt = policy.createSequence(random(promptTokens, index))
    const sequences = Array.from({ length: forks }, () => prompt.fork())
    try {
      await Promise.all(
        sequences.map((sequence, fork) => sequence.sample({ maxTokens, seed: forks * index + fork })),
      )
    } finally {
      for (const sequence of [...sequences, prompt]) sequence.release()
    }
  }
  await Promise.all(Array.from({ length: count }, (_, index) => group(index)))
}

async function train(policy: Policy, random: ReturnType<typeof tokensOf>, count: number): Promise<void> {
  // The first token is not trained, because no token precedes it.
  const mask = new Uint8Array(trainedTokens).fill(1, 1)
  const sequences = Array.from({ length: count }, (_, index) => ({
    tokens: random(trainedTokens, index),
    mask,
  }))
  await policy.supervisedStep(packSequences(sequences), { learningRate: 1e-6 })
}

/** The median of three measurements, so that one moment of other work on the machine does not count. */
async function perSecond(tokens: number, work: () => Promise<void>): Promise<number> {
  const rates: number[] = []
  for (let round = 0; round < 3; round++) {
    const start = performance.now()
    await work()
    rates.push((1000 * tokens) / (performance.now() - start))
  }
  return rates.sort((one, other) => one - other)[1] as number
}
