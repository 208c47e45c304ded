// The tokens of a rollout as the page shows them: text, logprob, and gradient weight per channel of the loss.
import { type ClipRange, tokenGradientWeight, tokenRatio } from '../hdpo/token-weight.js'
import type { Tokenizer } from '../policy/types.js'
import type { StoredSequence } from '../run/store/run-store.js'

interface ShownToken {
  text: string
  /** Only sampled tokens have a logprob; given ones (prompt, observations) are not trained and have only their text. */
  logprob?: number
  /** pi / pi_old at the update, where the run recorded training logprobs. */
  ratio?: number
  /** Gradient weights: channel weight * advantage * ratio; 0 where clipped. */
  accuracy?: number
  efficiency?: number
}

interface ChannelPush {
  accuracyAdvantage: number
  efficiencyAdvantage: number
  accuracyWeight: number
  efficiencyWeight: number
  clip: ClipRange
}

export function showTokens(
  sequence: StoredSequence,
  tokenizer: Tokenizer | undefined,
  push: ChannelPush,
): ShownToken[] {
  const texts = tokenTexts(sequence.tokens, tokenizer)
  return texts.map((text, index) => {
    if (sequence.mask[index] !== 1) return { text }
    const logprob = sequence.logprobs[index] as number
    const training = sequence.trainingLogprobs?.[index]
    // Without training logprobs the ratio is taken to be 1, as it is before the first update of a step.
    const ratio = training === undefined ? 1 : tokenRatio(training, logprob)
    return {
      text,
      logprob,
      ...(training !== undefined && { ratio }),
      accuracy: push.accuracyWeight * tokenGradientWeight(push.accuracyAdvantage, ratio, push.clip),
      efficiency: push.efficiencyWeight * tokenGradientWeight(push.efficiencyAdvantage, ratio, push.clip),
    }
  })
}

/** A character that spans several tokens is shown at the last of them. */
function tokenTexts(tokens: Int32Array, tokenizer: Tokenizer | undefined): string[] {
  if (!tokenizer) return Array.from(tokens, (token) => `[${token}]`)
  const bytes = tokenizer.tokenBytes()
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  return Array.from(tokens, (token) => {
    if (token >= tokenizer.vocabSize || token < 0) return `[${token}]`
    const piece = bytes[token] as Uint8Array
    // Special tokens have no bytes, so their text is used.
    return piece.length === 0
      ? tokenizer.decode([token], { continues: true })
      : decoder.decode(piece, { stream: true })
  })
}
