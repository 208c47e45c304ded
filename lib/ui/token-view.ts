// The tokens of a rollout as the page shows them: text, logprob, and what each channel of the loss made of them.
import { type ClipRange, tokenGradientWeight, tokenRatio } from '../hdpo/token-weight.js'
import type { Tokenizer } from '../policy/types.js'
import type { StoredSequence } from '../run/store/run-store.js'

interface ShownToken {
  text: string
  /** Given tokens (prompt, observations) have the text alone: nothing was chosen, nothing is learnt. */
  logprob?: number
  /** pi / pi_old at the update; only where the run recorded training logprobs. */
  ratio?: number
  /** Gradient weights: channel weight * advantage * ratio, 0 where clipped. */
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
    // Before the first update of a step the policy is the one that sampled.
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

/** A character that several tokens make up stands at the last of them. */
function tokenTexts(tokens: Int32Array, tokenizer: Tokenizer | undefined): string[] {
  if (!tokenizer) return Array.from(tokens, (token) => `[${token}]`)
  const bytes = tokenizer.tokenBytes()
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  return Array.from(tokens, (token) => {
    if (token >= tokenizer.vocabSize || token < 0) return `[${token}]`
    const piece = bytes[token] as Uint8Array
    // Special tokens have no bytes, but a text.
    return piece.length === 0
      ? tokenizer.decode([token], { continues: true })
      : decoder.decode(piece, { stream: true })
  })
}
