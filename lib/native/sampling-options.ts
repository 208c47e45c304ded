// How tokens are sampled, with the defaults and bounds: the one place that has them.
import { z } from 'zod'
import { count, kind, largestFloat, notNegative, seed, share, signal } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'

/** How a token is drawn. Rollouts and servers compose it. */
export const samplingShape = {
  /** Logits are divided by it; 0 takes the likeliest token. Default 1. */
  temperature: notNegative.max(largestFloat).default(1),
  /** Share of the probability that the tokens drawn from must have together; 1: all tokens. Default 1. */
  topP: z.number().min(1e-6).max(1).default(1),
  /** How many of the likeliest tokens are drawn from; 0: all. Default 0. */
  topK: z
    .int()
    .min(0)
    .max(2 ** 30)
    .default(0),
  /** Share of the likeliest token's probability that a token must have to be drawn. Default 0. */
  minP: share.default(0),
}

/** The same where what is left open is for others to say, as a request leaves it to its server. */
export const askedSamplingShape = {
  /** Logits are divided by it; 0 takes the likeliest token. Default: left open. */
  temperature: samplingShape.temperature.unwrap().optional(),
  /** Share of the probability that the tokens drawn from must have together; 1: all tokens. Default: left open. */
  topP: samplingShape.topP.unwrap().optional(),
  /** How many of the likeliest tokens are drawn from; 0: all. Default: left open. */
  topK: samplingShape.topK.unwrap().optional(),
  /** Share of the likeliest token's probability that a token must have to be drawn. Default: left open. */
  minP: samplingShape.minP.unwrap().optional(),
}

export const sampleShape = {
  /** Tokens that are sampled at most. Default 256. */
  maxTokens: count.max(2 ** 30).default(256),
  ...samplingShape,
  /** A token is a function of the logits, its place in the sequence and this. Default 0. */
  seed: seed.default(0),
  /** Tokens that end the sample, and are its last. Default: none. */
  stopTokens: z.array(z.int().min(0)).optional(),
  /** Texts that end the sample. Default: none. */
  stop: z.array(z.string().min(1)).optional(),
  /** Added to the logits of tokens; -Infinity bans one. Default: to none. */
  logitBias: kind<ReadonlyMap<number, number>>(
    'a Map from tokens to what is added to their logits',
    (value) => value instanceof Map,
  ).optional(),
  /** Ends the sample with what it has. */
  signal: signal.optional(),
}
const sampleOptions = z.strictObject(sampleShape)
export interface SamplingOptions extends OptionsOf<typeof sampleShape> {}
export type ResolvedSampling = ResolvedOptions<typeof sampleShape>

/** Throws InvalidOptionError. */
export function resolveSampling(options: SamplingOptions): ResolvedSampling {
  return readOptions(sampleOptions, options, 'sample')
}
