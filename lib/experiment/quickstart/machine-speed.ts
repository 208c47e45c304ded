// How fast this machine samples and trains a model, measured within a second or two: what a forecast is made of.
import type { Policy } from '../../policy/policy.js'
import { packSequences } from '../../trainer/batch.js'

export interface MachineSpeed {
  /** Tokens a second sampled, hundreds of sequences side by side. */
  sampled: number
  /** Tokens a second trained. */
  trained: number
}

const prompts = 32
const forks = 8
const promptTokens = 16
const sampledTokens = 12
const trainedSequences = 32
const trainedTokens = 64

/** Of a policy whose weights do not matter: a step of training changes them. */
export async function measureMachineSpeed(policy: Policy): Promise<MachineSpeed> {
  const random = tokensOf(policy.config.vocabSize)
  // What runs for the first time makes its kernels first.
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

/** Any text costs the same; this one has no end that would stop it. */
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
  // Nothing predicts the first token.
  const mask = new Uint8Array(trainedTokens).fill(1, 1)
  const sequences = Array.from({ length: count }, (_, index) => ({
    tokens: random(trainedTokens, index),
    mask,
  }))
  await policy.supervisedStep(packSequences(sequences), { learningRate: 1e-6 })
}

/** The middle one of three: a moment in which other work had the machine does not count. */
async function perSecond(tokens: number, work: () => Promise<void>): Promise<number> {
  const rates: number[] = []
  for (let round = 0; round < 3; round++) {
    const start = performance.now()
    await work()
    rates.push((1000 * tokens) / (performance.now() - start))
  }
  return rates.sort((one, other) => one - other)[1] as number
}
