import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { InvalidOptionError } from '../../lib/core/option-error.js'
import { kernels, type PolicyLossInput } from '../../lib/native/kernels.js'
import { refuses } from '../core/wrong-options.js'
import {
  largestDifference,
  largestRelativeDifference,
  outerProduct,
  policyLossCases,
  throughIdentity,
} from './golden.js'

const cases = policyLossCases()
const tolerance = 1e-5

/** Two sequences of three and two tokens; all but the first token are trained. */
const small = {
  logits: [1, 2, 3, 0, 0, 0, -1, 0.5, 2, 3, 3, 1, 0, -2, 0.25],
  vocabSize: 3,
  targets: [2, 0, 1, 0, 2],
  lossMask: [0, 1, 1, 1, 1],
  sequenceLengths: [3, 2],
  oldLogprobs: [0, -1, -1.2, -0.9, -0.8],
  accuracyAdvantages: [1, -0.5],
  efficiencyAdvantages: [0.5, 0],
}
/** The part that linearPolicyLoss takes. */
const { logits: _, ...tokens } = small

describe('policyLoss', () => {
  it.each(cases)(
    'agrees with the reference in every result: $name',
    async ({ name: _, expected, ...input }) => {
      const found = await kernels.policyLoss(input)
      for (const name of ['loss', 'accuracyLoss', 'efficiencyLoss', 'kl'] as const) {
        expect(largestRelativeDifference([found[name]], [expected[name]], 1e-12), name).toBeLessThan(
          tolerance,
        )
      }
      for (const name of ['logprobs', 'entropy', 'gradLogprobs', 'gradLogits'] as const) {
        expect(largestRelativeDifference(found[name], expected[name], 1e-12), name).toBeLessThan(tolerance)
      }
    },
  )

  it('has the defaults of the paper', async () => {
    const given = {
      temperature: 1,
      aggregation: 'token-mean',
      clipLow: 0.2,
      clipHigh: 0.2,
      dualClip: 3,
      accuracyWeight: 1,
      efficiencyWeight: 0.15,
      klCoefficient: 0,
      entropyCoefficient: 0,
      referenceLogprobs: null,
    } as const
    expect(await kernels.policyLoss({ ...small, ...given })).toEqual(await kernels.policyLoss(small))
  })

  it('takes typed arrays and booleans', async () => {
    const typed = {
      ...small,
      logits: Float32Array.from(small.logits),
      targets: Uint32Array.from(small.targets),
      lossMask: small.lossMask.map(Boolean),
      sequenceLengths: Int32Array.from(small.sequenceLengths),
      oldLogprobs: Float64Array.from(small.oldLogprobs),
    }
    expect(await kernels.policyLoss(typed)).toEqual(await kernels.policyLoss(small))
  })

  it('counts what clips took from the accuracy channel', async () => {
    const found = await kernels.policyLoss({
      ...small,
      logits: new Array(15).fill(0),
      // Ratios 1, 1/3 * e^... : far above, far below, far above with a negative advantage, 1.
      oldLogprobs: [0, -3, 1, -4, Math.log(1 / 3)],
      sequenceLengths: [1, 1, 1, 1, 1],
      accuracyAdvantages: [1, 1, -1, -1, 1],
      efficiencyAdvantages: [0, 0, 0, 0, 0],
    })
    expect(found).toMatchObject({ trainedTokens: 4, clippedHigh: 0.25, clippedLow: 0.25, dualClipped: 0.25 })
    expect(found.logprobDifference).toBeCloseTo(4 - Math.log(3), 5)
    expect(Array.from(found.gradLogprobs.slice(0, 4), Math.abs)).toEqual([0, 0, 0, 0])
    expect(found.gradLogprobs[4]).toBeCloseTo(-0.25, 6)
  })

  it('clamps differences of any size', async () => {
    const far = await kernels.policyLoss({
      ...small,
      oldLogprobs: [0, -1e30, 1e30, 200, -200],
      dualClip: Infinity,
    })
    expect(Number.isFinite(far.loss)).toBe(true)
    expect(far.gradLogits.every(Number.isFinite)).toBe(true)
  })

  it('is 0 where nothing is trained', async () => {
    const masked = await kernels.policyLoss({
      ...small,
      lossMask: [0, 0, 0, 0, 0],
      efficiencyAdvantages: [1, 1],
    })
    expect(masked).toMatchObject({
      loss: 0,
      accuracyLoss: 0,
      efficiencyLoss: 0,
      kl: 0,
      trainedTokens: 0,
      clippedLow: 0,
    })
    expect(masked.gradLogits).toEqual(new Float32Array(15))
    expect(masked.logprobs[1]).toBeCloseTo(-Math.log(3), 6)
    const empty = { targets: [], lossMask: [], sequenceLengths: [], oldLogprobs: [], logits: [] }
    const nothing = await kernels.policyLoss({
      ...small,
      ...empty,
      accuracyAdvantages: [],
      efficiencyAdvantages: [],
    })
    expect(nothing).toMatchObject({ loss: 0, logprobs: new Float32Array(), gradLogits: new Float32Array() })
    const emptySequence = {
      sequenceLengths: [3, 0, 2],
      accuracyAdvantages: [1, 5, -0.5],
      efficiencyAdvantages: [0.5, 5, 0],
    }
    expect(await kernels.policyLoss({ ...small, ...emptySequence })).toEqual(await kernels.policyLoss(small))
  })

  it('leaves sequences without trained tokens out of the means over sequences', async () => {
    for (const aggregation of ['seq-mean-token-mean', 'seq-mean-token-sum'] as const) {
      const whole = await kernels.policyLoss({ ...small, lossMask: [0, 0, 0, 1, 1], aggregation })
      const alone = await kernels.policyLoss({
        ...small,
        aggregation,
        logits: small.logits.slice(9),
        targets: [0, 2],
        lossMask: [1, 1],
        sequenceLengths: [2],
        oldLogprobs: small.oldLogprobs.slice(3),
        accuracyAdvantages: [-0.5],
        efficiencyAdvantages: [0],
      })
      expect(whole.loss).toBe(alone.loss)
    }
  })

  it('knows a vocabulary of one token', async () => {
    const one = { ...small, vocabSize: 1, logits: [5, -3, 0, 1e30, 2], targets: [0, 0, 0, 0, 0] }
    const found = await kernels.policyLoss(one)
    expect(Array.from(found.logprobs)).toEqual([0, 0, 0, 0, 0])
    expect(Array.from(found.entropy, Math.abs)).toEqual([0, 0, 0, 0, 0])
    expect(Array.from(found.gradLogits, Math.abs)).toEqual([0, 0, 0, 0, 0])
  })

  it('shows what is not finite as a loss that is not', async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const logits = [...small.logits]
      logits[4] = bad
      const found = await kernels.policyLoss({ ...small, logits })
      expect(found.loss).toBeNaN()
      expect(found.logprobDifference).toBeNaN()
    }
    expect((await kernels.policyLoss({ ...small, oldLogprobs: [0, Number.NaN, 0, 0, 0] })).loss).toBeNaN()
    // A token that cannot be drawn, and a row that is not trained, are fine.
    const logits = [...small.logits]
    logits[4] = Number.NEGATIVE_INFINITY
    logits[0] = Number.NaN
    const found = await kernels.policyLoss({
      ...small,
      logits,
      oldLogprobs: [Number.NaN, -1, -1.2, -0.9, -0.8],
    })
    expect(found.loss).not.toBeNaN()
    expect(found.gradLogits[4]).toBeCloseTo(0, 12)
  })

  it('works in worker threads, and in several at once', async () => {
    const addon = new URL('../../build/Release/hdpo.node', import.meta.url).pathname
    const script = `
      const { parentPort, workerData } = require('node:worker_threads')
      const { kernels } = require(workerData.addon)
      kernels.groupAdvantages(workerData.input).then(({ accuracyAdvantages }) => parentPort.postMessage(accuracyAdvantages))`
    const input = {
      groupIds: Int32Array.of(1, 1),
      accuracyRewards: Float32Array.of(1, 0),
      correct: Uint8Array.of(1, 0),
      toolCalls: Int32Array.of(0, 0),
      device: 'cpu' as const,
      epsilon: 1e-6,
      scaleByStd: true,
    }
    const expected = (await kernels.groupAdvantages(input)).accuracyAdvantages
    const answers = [1, 2, 3].map(
      () =>
        new Promise((resolve, reject) => {
          const worker = new Worker(script, { eval: true, workerData: { addon, input } })
          worker.once('message', resolve)
          worker.once('error', reject)
        }),
    )
    for (const answer of await Promise.all(answers)) expect(answer).toEqual(expected)
  })

  refuses(
    (wrong: object | undefined) => kernels.policyLoss((wrong && { ...small, ...wrong }) as PolicyLossInput),
    [
      [undefined, 'options: must be an object, got undefined'],
      [{ vocabSize: undefined }, 'vocabSize: must be a whole number from 1 to 2147483647, got undefined'],
      [{ vocabSize: 2.5 }, 'vocabSize: must be a whole number from 1 to 2147483647, got 2.5'],
      [{ vocabSize: 4 }, 'logits: must be of 20 elements, targets times vocabSize, got 15 elements'],
      [{ targets: [2, 0, 1, 3, 2] }, 'targets[3]: must be less than vocabSize, 3, got 3'],
      [{ targets: [2, 0, 1, -1, 2] }, 'targets[3]: must be an integer from 0 to 2147483647, got -1'],
      [{ lossMask: [1, 1] }, 'lossMask: must be of 5 elements, one per token as targets, got 2 elements'],
      [
        { sequenceLengths: [3, 3] },
        'sequenceLengths: must be lengths that add up to 5, the length of targets, got a sum of 6',
      ],
      [{ sequenceLengths: [6, -1] }, 'sequenceLengths[1]: must be an integer from 0 to 2147483647, got -1'],
      [{ oldLogprobs: [0] }, 'oldLogprobs: must be of 5 elements, one per token as targets, got 1 elements'],
      [
        { accuracyAdvantages: [1] },
        'accuracyAdvantages: must be of 2 elements, one per sequence as sequenceLengths, got 1 elements',
      ],
      [
        { accuracyAdvantages: [1, Number.NaN] },
        'accuracyAdvantages[1]: must be a finite number in the range of float32, got NaN',
      ],
      [
        { efficiencyAdvantages: [1, Infinity] },
        'efficiencyAdvantages[1]: must be a finite number in the range of float32, got Infinity',
      ],
      [
        { klCoefficient: 0.1 },
        'referenceLogprobs: must be given where klCoefficient is not 0, got undefined',
      ],
      [
        { referenceLogprobs: [0, 0] },
        'referenceLogprobs: must be of 5 elements, one per token as targets, got 2 elements',
      ],
      [{ temperature: 0 }, 'temperature: must be at least 0.000001, got 0'],
      [{ temperature: Number.NaN }, 'temperature: must be at least 0.000001, got NaN'],
      [{ clipLow: 1.5 }, 'clipLow: must be 0 to 1, got 1.5'],
      [{ clipHigh: -0.1 }, 'clipHigh: must be at least 0, got -0.1'],
      [{ clipHigh: Infinity }, 'clipHigh: must be finite and at least 0, got Infinity'],
      [{ dualClip: 0.5 }, 'dualClip: must be a number of at least 1, got 0.5'],
      [{ efficiencyWeight: '1' }, "efficiencyWeight: must be a number of at least 0, got '1'"],
      [{ entropyCoefficient: 1e39 }, 'entropyCoefficient: must be at most 3.4028234663852886e+38, got 1e+39'],
      [
        { aggregation: 'mean' },
        "aggregation: must be one of token-mean, seq-mean-token-mean, seq-mean-token-sum, got 'mean'",
      ],
      [
        { aggregation: 3 },
        'aggregation: must be one of token-mean, seq-mean-token-mean, seq-mean-token-sum, got 3',
      ],
      [{ cliplow: 1 }, 'cliplow: must be left out (there is no such option; did you mean clipLow?), got 1'],
    ],
  )

  it('refuses what it has no option for, by name', async () => {
    const call = kernels.policyLoss({ ...small, surrogate: 'cispo' } as PolicyLossInput)
    await expect(call).rejects.toThrow(InvalidOptionError)
    await expect(call).rejects.toThrow(
      /^surrogate: must be left out \(there is no such option; known: .*, clipLow, .*\), got 'cispo'$/,
    )
  })
})

describe('linearPolicyLoss', () => {
  it.each(cases)('agrees with the reference through a known projection: $name', async (input) => {
    const { expected } = input
    const found = await kernels.linearPolicyLoss(throughIdentity(input))
    for (const name of ['loss', 'accuracyLoss', 'efficiencyLoss', 'kl'] as const) {
      expect(largestRelativeDifference([found[name]], [expected[name]], 1e-12), name).toBeLessThan(tolerance)
    }
    expect(largestRelativeDifference(found.logprobs, expected.logprobs, 1e-3)).toBeLessThan(tolerance)
    expect(largestRelativeDifference(found.entropy, expected.entropy, 1e-3)).toBeLessThan(tolerance)
    expect(largestRelativeDifference(found.gradHidden, expected.gradLogits, 1e-7)).toBeLessThan(tolerance)
    expect(largestDifference(found.gradWeight, outerProduct(input))).toBeLessThan(1e-5)
  })

  it('agrees with policyLoss where hidden states are narrow', async () => {
    const hiddenSize = 2
    const hidden = [0.5, -1, 1, 0.25, -0.75, 2, 0.1, 0.3, -1, -1]
    const weight = [1, 0.5, -0.5, 2, 0.25, -1]
    const logits = small.targets.flatMap((_, token) =>
      [0, 1, 2].map((word) =>
        [0, 1].reduce(
          (sum, i) => sum + (hidden[token * 2 + i] as number) * (weight[word * 2 + i] as number),
          0,
        ),
      ),
    )
    const options = { klCoefficient: 0.1, referenceLogprobs: [-1, -1, -1, -1, -1], entropyCoefficient: 0.05 }
    const plain = await kernels.policyLoss({ ...small, ...options, logits })
    const fused = await kernels.linearPolicyLoss({ ...tokens, ...options, hidden, weight, hiddenSize })
    expect(fused.loss).toBeCloseTo(plain.loss, 6)
    expect(fused.kl).toBeCloseTo(plain.kl, 6)
    expect(largestDifference(fused.logprobs, plain.logprobs)).toBeLessThan(1e-6)
    expect(largestDifference(fused.entropy, plain.entropy)).toBeLessThan(1e-6)
    expect(Array.from(fused.gradHidden.slice(0, 2))).toEqual([0, 0])
    const firstWord = small.targets.reduce(
      (sum, _, token) => sum + (plain.gradLogits[token * 3] as number) * (hidden[token * 2] as number),
      0,
    )
    expect(fused.gradWeight[0]).toBeCloseTo(firstWord, 6)
  })

  it('keeps rows that are not trained apart, whatever they hold', async () => {
    const call = { ...tokens, hiddenSize: 1, weight: [1, 2, 3] }
    const good = await kernels.linearPolicyLoss({ ...call, hidden: [0.5, 1, 2, 3, 4] })
    const bad = await kernels.linearPolicyLoss({ ...call, hidden: [Number.NaN, 1, 2, 3, 4] })
    expect(bad.loss).toBe(good.loss)
    expect(bad.gradWeight).toEqual(good.gradWeight)
    expect(bad.logprobs[0]).toBeNaN()
    const masked = await kernels.linearPolicyLoss({
      ...call,
      hidden: [0.5, 1, 2, 3, 4],
      lossMask: [0, 0, 0, 0, 0],
    })
    expect(masked).toMatchObject({
      loss: 0,
      trainedTokens: 0,
      gradWeight: new Float32Array(3),
      logprobs: good.logprobs,
    })
  })

  const linear = {
    ...tokens,
    hiddenSize: 1,
    hidden: [1, 1, 1, 1, 1],
    weight: [1, 2, 3],
  }
  refuses(
    (wrong: object) => kernels.linearPolicyLoss({ ...linear, ...wrong }),
    [
      [{ hiddenSize: 0 }, 'hiddenSize: must be a whole number from 1 to 2147483647, got 0'],
      [{ hidden: [1] }, 'hidden: must be of 5 elements, targets times hiddenSize, got 1 elements'],
      [{ weight: [1] }, 'weight: must be of 3 elements, vocabSize times hiddenSize, got 1 elements'],
    ],
  )

  it('refuses logits, which it makes itself', async () => {
    await expect(kernels.linearPolicyLoss({ ...linear, logits: [1] } as typeof linear)).rejects.toThrow(
      /^logits: must be left out /,
    )
  })
})
