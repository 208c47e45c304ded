import { describe, expect, it } from 'vitest'
import { resolveSampling, type SamplingOptions } from '../../lib/native/sampling-options.js'
import { refuses } from '../core/wrong-options.js'

describe('options of a sample', () => {
  it('come with their defaults', () => {
    expect(resolveSampling({ topK: 5, seed: undefined })).toEqual({
      ...{ maxTokens: 256, temperature: 1, topP: 1, topK: 5, minP: 0, seed: 0 },
    })
  })

  refuses(
    (options: SamplingOptions) => resolveSampling(options),
    [
      [{ maxTokens: 0 }, 'sample.maxTokens: must be a whole number from 1 to 1073741824, got 0'],
      [{ temperature: -1 }, 'sample.temperature: must be at least 0, got -1'],
      [{ topP: 0 }, 'sample.topP: must be 0.000001 to 1, got 0'],
      [{ minP: 1.5 }, 'sample.minP: must be 0 to 1, got 1.5'],
      [
        { logitBias: [[1, 2]] },
        'sample.logitBias: must be a Map from tokens to what is added to their logits, got [ [ 1, 2 ] ]',
      ],
      [
        { maxToken: 3 },
        'sample.maxToken: must be left out (there is no such option; did you mean maxTokens?), got 3',
      ],
    ],
  )
})
